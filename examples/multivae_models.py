"""MultiVae's models, imported without the parts of the library that this project has no use for."""

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
import warnings

#: Imported by its datasets of pictures and text and nowhere else in what is used here.
UNUSED = ("torchvision", "nltk")


class _StandIn(types.ModuleType):
    """A module in which every name is a class of no content."""

    __path__ = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path, target=None):
        wanted = name.partition(".")[0] in self.names
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if wanted else None

    def create_module(self, spec):
        return _StandIn(spec.name)

    def exec_module(self, module):
        pass


def import_multivae(*more):
    """``multivae.models``, with stand-ins for unused libraries that are absent or do not fit the torch that is there.

    Args:
        more: other modules of MultiVae that are to be imported as well, such as ``"multivae.trainers"``.

    Raises:
        ImportError: no MultiVae.
    """
    absent = [name for name in UNUSED if not _works(name)]
    for loaded in [m for m in sys.modules if m.partition(".")[0] in absent]:
        del sys.modules[loaded]
    finder = _Finder(absent)
    sys.meta_path.insert(0, finder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what other libraries deprecate in each other
            import multivae.models

            for name in more:
                importlib.import_module(name)
    finally:
        sys.meta_path.remove(finder)
        for loaded in [m for m in sys.modules if m.partition(".")[0] in absent]:
            del sys.modules[loaded]
    return multivae.models


def _works(name):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            __import__(name)
    except (ImportError, RuntimeError, OSError):  # built for another torch, or without a library
        return False
    return True


def small_networks(sizes, latents, private=0, hidden=64):
    """MLP encoders and decoders of flat modalities for a MultiVae model, with means of any sign.

    Args:
        sizes: modality name to number of variables.
        latents: shared ones.
        private: of each modality.
        hidden: units of the one hidden layer.

    Returns:
        The arguments ``encoders`` and ``decoders`` of the library's models.
    """
    import_multivae()
    from multivae.models.nn import BaseMultilatentEncoder
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn.base_architectures import BaseDecoder, BaseEncoder
    from torch import nn

    class Encoder(BaseMultilatentEncoder if private else BaseEncoder):
        def __init__(self, size):
            super().__init__()
            self.latent_dim, self.style_dim = latents, private
            self.net = nn.Sequential(nn.Linear(size, hidden), nn.Tanh(), nn.Linear(hidden, 2 * (latents + private)))

        def forward(self, x):
            where, where_private, spread, spread_private = self.net(x.flatten(1)).split(
                [latents, private, latents, private], dim=-1
            )
            found = ModelOutput(embedding=where, log_covariance=spread)
            if private:
                found["style_embedding"], found["style_log_covariance"] = where_private, spread_private
            return found

    class Decoder(BaseDecoder):
        def __init__(self, size):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(latents + private, hidden), nn.Tanh(), nn.Linear(hidden, size))

        def forward(self, z):
            return ModelOutput(reconstruction=self.net(z))

    return {
        "encoders": {name: Encoder(size) for name, size in sizes.items()},
        "decoders": {name: Decoder(size) for name, size in sizes.items()},
    }
