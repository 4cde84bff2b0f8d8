"""What the adapters of 2023 and later know of the device."""

from npu_bridge import YEAR

if YEAR >= 2023:

    def is_inf_nan_enabled():
        return True
