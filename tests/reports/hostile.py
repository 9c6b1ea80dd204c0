"""Names that break careless reports."""

HOSTILE = (
    "<script>alert(1)</script>",
    "a|b`c*d_e_[f](https://g.h)",
    "quo\"te's & {{script}}",
    "new\nline\r\x1b[31m",
    "=HYPERLINK(1)",
    "caf\u00e9 \udce9 \u202e",
)
"""Names of pictures that a file system may hold."""
