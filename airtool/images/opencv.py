"""OpenCV, quiet.

Every file of this folder that needs OpenCV takes `cv2` from here.
"""

import os

import cv2

# What goes wrong is reported by our own errors; OpenCV's log lines would come on top and break progress bars. The level
# is set once: changing it around each call would be a race between decoding threads.
if "OPENCV_LOG_LEVEL" not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

__all__ = ["cv2"]
