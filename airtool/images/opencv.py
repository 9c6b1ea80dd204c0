"""OpenCV, quiet and with a limit on picture sizes.

Every file of this folder that needs OpenCV takes `cv2` from here.
"""

import os

MAX_PIXELS = 1 << 28
"""Most pixels of one picture (268 megapixels): 3.2 GB as float32, more than any camera takes in one shot."""

# OpenCV reads its limit once, when it is loaded, and checks it before it allocates memory for the pixels. Where
# somebody imported cv2 earlier its own limit (1074 megapixels) holds, and `decode` compares with MAX_PIXELS afterwards.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))

import cv2  # noqa: E402

# What goes wrong is reported by our own errors; OpenCV's log lines would come on top and break progress bars. The level
# is set once: changing it around each call would be a race between decoding threads.
if "OPENCV_LOG_LEVEL" not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

__all__ = ["MAX_PIXELS", "cv2"]
