"""Pictures for the tests of the degradations."""

import cv2
import numpy as np
import pytest
import skimage


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A real photograph: float32 (192, 256, 3), sRGB RGB in [0, 1], read-only."""
    path = f"{skimage.__path__[0]}/data/coffee.png"
    pixels = cv2.resize(cv2.imread(path, cv2.IMREAD_COLOR_RGB), (256, 192), interpolation=cv2.INTER_AREA)
    picture = pixels.astype(np.float32) / np.float32(255)
    picture.setflags(write=False)
    return picture
