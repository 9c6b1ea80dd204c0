"""NDR-Restore's backbone in the names of Restormer, which other methods' networks keep, for warm starts."""

RESTORMER_NAMES = {
    "block1": "encoder_level1",
    "pool1": "down1_2",
    "block2": "encoder_level2",
    "pool2": "down2_3",
    "block3": "encoder_level3",
    "pool3": "down3_4",
    "bottom": "latent",
    "up3": "up4_3",
    "up2": "up3_2",
    "up1": "up2_1",
}
"""Modules that are the same in both; the decoder's blocks are grouped differently there."""
