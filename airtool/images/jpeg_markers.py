"""JPEG: the segments of applications, and how those begin that many programs write. Source: ITU-T T.81 annex B."""

APP0, APP1, APP2, APP11, APP12, APP13, APP14, APP15 = (bytes([0xFF, 0xE0 + n]) for n in (0, 1, 2, 11, 12, 13, 14, 15))

JFIF_MARKER = b"JFIF\0"
EXIF_MARKER = b"Exif\0"
XMP_MARKER = b"http://ns.adobe.com/xap/1.0/\0"
XMP_EXTENSION_MARKER = b"http://ns.adobe.com/xmp/extension/\0"
ICC_MARKER = b"ICC_PROFILE\0"
