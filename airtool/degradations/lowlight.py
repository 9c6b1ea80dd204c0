"""Low light: too little exposure, a camera's curve, and the noise of an amplified sensor."""

import numpy as np

from airtool.degradations.base import Applied, Degradation
from airtool.degradations.noise import draw_sensor, sensor_noise
from airtool.degradations.srgb import to_linear, to_srgb


def low_light(image: np.ndarray, amount: float, rng: np.random.Generator) -> Applied:
    """y = round255(encode((2^-stops g x + n) ^ gamma)), x in linear light.

    `amount` is the underexposure in stops (halvings of the light). g is a slight colour cast, n the sensor noise of
    `noise.sensor_noise` and gamma the camera's own darkening curve. The result is rounded to 8 bits, as a
    camera stores it: in the dark, that rounding is part of the damage (the model of Lv et al., IJCV 2021, and of the
    LOL pairs, Wei et al., BMVC 2018).
    """
    if amount == 0:
        return image.copy(), {}
    gamma = 1.0 + float(rng.uniform(0.0, 0.25)) * min(1.0, amount / 3)
    cast = np.exp(rng.normal(0.0, 0.06, 3)).astype(np.float32)
    shot = float(np.exp(rng.uniform(np.log(1e-5), np.log(6e-4))))
    read, balance = draw_sensor(shot, rng)
    linear = to_linear(image) * (np.float32(2.0**-amount) * cast)
    linear = np.clip(linear + sensor_noise(linear, shot, read, balance, rng), 0.0, 1.0)
    dark = to_srgb(linear ** np.float32(gamma))
    dark = np.rint(dark * 255) * np.float32(1 / 255)
    drawn = {
        "gamma": gamma,
        "cast": cast.tolist(),
        "shot": shot,
        "read": read,
        "white_balance": list(balance),
    }
    return dark, drawn


LOW_LIGHT = Degradation(
    name="low-light",
    label="low light",
    summary="underexposure in linear light, a darkening curve, sensor noise, 8 bits",
    parameter="underexposure in stops",
    low=0.0,
    high=8.0,
    default=3.0,
    training=(1.5, 4.5),
    apply=low_light,
)
