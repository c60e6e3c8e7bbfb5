"""Named architectures, each as a float32 net and as its binary twin.

Every net of `NETS` reads numbers of 0 to 255 in the shape ``net.image_shape`` and becomes a Program by
`bimetal.lower.lower_cnn`, whose answers are the net's own:

>>> from bimetal import zoo
>>> net = zoo.vgg_small(width=0.0625, n_classes=10, seed=0)
>>> net.image_shape
(3, 32, 32)

From there it is three lines to a file::

    net = zoo.vgg_small()
    program = lower_cnn(net)
    save(program, "vgg_small.bimetal")

To add a net, write a function in the file of its family and its name in `NETS`.
"""

from bimetal.nn import calibrate
from bimetal.zoo.base import Net
from bimetal.zoo.catalog import NETS, Architecture
from bimetal.zoo.classic import alexnet, vgg16
from bimetal.zoo.luts import lut_mlp
from bimetal.zoo.mlps import binaryconnect_mlp, binarynet_mlp, finn_mlp, xnor_mlp
from bimetal.zoo.mobile import quicknet, reactnet
from bimetal.zoo.nets import PictureNet, Recipe
from bimetal.zoo.residual import bi_real18, react18
from bimetal.zoo.sequences import binary_tcn
from bimetal.zoo.vgg import vgg_small
from bimetal.zoo.xnor import lenet5_xnor, xnor_alexnet

__all__ = [
    "NETS",
    "Architecture",
    "Net",
    "PictureNet",
    "Recipe",
    "alexnet",
    "bi_real18",
    "binary_tcn",
    "binaryconnect_mlp",
    "binarynet_mlp",
    "calibrate",
    "finn_mlp",
    "lenet5_xnor",
    "lut_mlp",
    "quicknet",
    "react18",
    "reactnet",
    "vgg16",
    "vgg_small",
    "xnor_alexnet",
    "xnor_mlp",
]
