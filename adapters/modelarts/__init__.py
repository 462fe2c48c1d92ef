"""ModelArts of Huawei Cloud Stack: Ascend cards of 武汉人工智能计算中心."""

from adapters.modelarts.center import ModelArtsCenter, open_center
from adapters.modelarts.settings import ModelArtsSettings

__all__ = ["ModelArtsCenter", "ModelArtsSettings", "open_center"]
