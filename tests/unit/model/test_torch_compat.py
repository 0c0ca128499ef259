import subprocess
import sys

PROGRAM = """
import gc, sys
from ocunet_pacs.model.torch_compat import import_timm, import_torchvision
timm = import_timm()
gc.collect()
import torch
assert import_timm() is timm
assert timm.create_model("resnet18", num_classes=0).num_features == 512
from torchvision.transforms import v2
assert v2.functional.hflip(torch.arange(6).reshape(1, 2, 3)).tolist() == [[[2, 1, 0], [5, 4, 3]]]
assert torch.ops.torchvision.nms is not None
"""


def test_timm_and_torchvision_import_in_a_fresh_process_without_a_warning() -> None:
    """Whichever torchvision lies beside torch: the operators stay declared after a garbage collection."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
