"""DeepLabV3 (Chen et al., "Rethinking Atrous Convolution", 2017) as torchvision builds it."""

from collections.abc import Callable

from torch import Tensor, nn
from torchvision.models import MobileNet_V3_Large_Weights, ResNet50_Weights, WeightsEnum, mobilenet_v3_large, resnet50
from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large, deeplabv3_resnet50

from monuseg_cli.core.errors import DownloadError
from monuseg_cli.models.blocks import DepthwiseConv2d


class _DeepLabV3(nn.Module):
    """Wrapper around torchvision's network that returns one tensor of logits."""

    build: Callable[..., nn.Module]
    build_classifier: Callable[..., nn.Module]
    imagenet_weights: WeightsEnum

    def __init__(self, *, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.network = type(self).build(weights=None, weights_backbone=None, num_classes=out_channels, aux_loss=False)
        if in_channels != 3:
            self._replace_first_convolution(in_channels)

    def _replace_first_convolution(self, in_channels: int) -> None:
        for parent in self.network.modules():
            for name, child in parent.named_children():
                if isinstance(child, nn.Conv2d):
                    fresh = nn.Conv2d(
                        in_channels,
                        child.out_channels,
                        (child.kernel_size[0], child.kernel_size[1]),
                        stride=(child.stride[0], child.stride[1]),
                        padding=(int(child.padding[0]), int(child.padding[1])),
                        bias=child.bias is not None,
                    )
                    setattr(parent, name, fresh)
                    return

    def load_imagenet_backbone(self) -> None:
        """Download torchvision's ImageNet weights of the backbone, and load them.

        Raises
        ------
        DownloadError
            If they are not in torch's cache and cannot be downloaded.
        """
        try:
            state = self.imagenet_weights.get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError) as error:
            message = (
                f"the ImageNet weights {self.imagenet_weights.url} cannot be fetched ({error}); use `pretrained=False`"
            )
            raise DownloadError(message) from error
        classifier = type(self).build_classifier()
        classifier.load_state_dict(state)
        features = getattr(classifier, "features", classifier)
        backbone = self.network.backbone
        assert isinstance(backbone, nn.Module)
        backbone.load_state_dict({name: features.state_dict()[name] for name in backbone.state_dict()})

    def encode(self, x: Tensor) -> list[Tensor]:
        """Compute the features of the backbone; see `Architecture`."""
        backbone = self.network.backbone
        assert isinstance(backbone, nn.Module)
        return [backbone(x)["out"]]

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (N, out_channels, H, W) of images (N, in_channels, H, W) of any size."""
        logits: Tensor = self.network(x)["out"]
        return logits


class DeepLabV3ResNet50(_DeepLabV3):
    """DeepLabV3 with a ResNet-50 backbone of output stride 8."""

    build = staticmethod(deeplabv3_resnet50)
    build_classifier = staticmethod(resnet50)
    imagenet_weights = ResNet50_Weights.IMAGENET1K_V1


_FIRST_AT_STRIDE_16 = 7  # index of that stage of MobileNetV3-Large in torchvision


class DeepLabV3MobileNet(_DeepLabV3):
    """DeepLabV3 with a MobileNetV3-Large backbone.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the image and of the logits.
    output_stride : {8, 16}
        Image pixels per logit, along a side, before upsampling. torchvision's 16 is too coarse for nuclei of 20 to 40
        pixels. It gets 16 out of 32 by replacing the stride of the last stages by dilation; 8 is obtained in the same
        way.
    """

    build = staticmethod(deeplabv3_mobilenet_v3_large)
    build_classifier = staticmethod(mobilenet_v3_large)
    imagenet_weights = MobileNet_V3_Large_Weights.IMAGENET1K_V1

    def __init__(self, *, in_channels: int, out_channels: int, output_stride: int) -> None:
        super().__init__(in_channels=in_channels, out_channels=out_channels)
        backbone = self.network.backbone
        assert isinstance(backbone, nn.Module)
        for number, stage in backbone.named_children():
            _replace_depthwise(stage, dilate=output_stride == 8 and int(number) >= _FIRST_AT_STRIDE_16)


def _replace_depthwise(stage: nn.Module, *, dilate: bool) -> None:
    """Replace torchvision's depthwise convolutions by `DepthwiseConv2d`, and keep their initial weights.

    With `dilate`, they get a stride of 1 and twice the dilation.
    """
    factor = 2 if dilate else 1
    for parent in list(stage.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d) and child.groups > 1:
                ours = DepthwiseConv2d(
                    child.in_channels,
                    child.kernel_size[0],
                    stride=1 if dilate else child.stride[0],
                    padding=factor * int(child.padding[0]),
                    dilation=factor * child.dilation[0],
                )
                ours.weight = child.weight
                setattr(parent, name, ours)
