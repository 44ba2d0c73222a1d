"""The data sets there are: what each is, where to get it, and what its official files are.

Checksums and sizes are those that are published: by the sets' own pages, or by the libraries that
download them (torchvision, TensorFlow Datasets). Where nothing is published, nothing stands here.
Whether a folder holds a set is asked in ``checks``.
"""

from __future__ import annotations

from dataclasses import dataclass

from ntkalign.data.add_task import NAME as ADD
from ntkalign.registry import Registry


@dataclass(frozen=True)
class SourceFile:
    """An official file.

    Attributes:
        name: as its publisher calls it.
        form: which files belong together: a set may be published in several forms.
        holds: so many images or labels, or 0 for an archive.
        trains: whether it is part of what is trained on.
        size: in bytes, where it is published.
        md5: its checksum, where it is published.
    """

    name: str
    form: str
    holds: int = 0
    trains: bool = True
    size: int | None = None
    md5: str | None = None


@dataclass(frozen=True)
class DataSet:
    """A set, as it is published.

    Attributes:
        name: what flags call it.
        about: one line that says what it is.
        shape: of one input.
        classes: how many; 0 where targets are no classes.
        images: how many may be trained on.
        source: where it comes from: "bundled", "generated" or "files".
        page: the publisher's page.
        base: the address that its files stand under, where they can simply be fetched.
        place: what to do with the files, in one line.
        files: the official ones.
    """

    name: str
    about: str
    shape: tuple[int, ...]
    classes: int
    images: int
    source: str
    page: str = ""
    base: str = ""
    place: str = ""
    files: tuple[SourceFile, ...] = ()


def _cifar10() -> tuple[SourceFile, ...]:
    md5s = (
        "c99cafc152244af753f735de768cd75f", "d4bba439e000b95fd0a9bffe97cbabec",
        "54ebc095f3ab1f0389bbae665268c751", "634d18415352ddfa80567beed471001a",
        "482c414d41f54cd18b22e5b47cb7c3cb",
    )  # fmt: skip
    binary, python, count, size = "binary", "python", 10_000, 30_730_000
    return (
        SourceFile("cifar-10-binary.tar.gz", "archives", size=170_052_171,
                   md5="c32a1d4ab5d03f1284b67883e8d87530"),
        SourceFile("cifar-10-python.tar.gz", "archives", size=170_498_071,
                   md5="c58f30108f718f92721af3b95e74349a"),
        *(SourceFile(f"data_batch_{i + 1}.bin", binary, count, size=size) for i in range(5)),
        SourceFile("test_batch.bin", binary, count, trains=False, size=size),
        *(SourceFile(f"data_batch_{i + 1}", python, count, md5=md5s[i]) for i in range(5)),
        SourceFile("test_batch", python, count, trains=False,
                   md5="40351d587109b95175f43aff81a1287e"),
    )  # fmt: skip


def _kmnist() -> tuple[SourceFile, ...]:
    train, test = 60_000, 10_000
    return (
        SourceFile("train-images-idx3-ubyte.gz", "idx", train, size=18_165_135,
                   md5="bdb82020997e1d708af4cf47b453dcf7"),
        SourceFile("train-labels-idx1-ubyte.gz", "idx", train, size=29_497,
                   md5="e144d726b3acfaa3e44228e80efcd344"),
        SourceFile("t10k-images-idx3-ubyte.gz", "idx", test, trains=False, size=3_041_136,
                   md5="5c965bf0a639b31b8f53240b1b52f4d7"),
        SourceFile("t10k-labels-idx1-ubyte.gz", "idx", test, trains=False, size=5_120,
                   md5="7320c461ea6c1c855c0b718fb2a4b134"),
        SourceFile("kmnist-train-imgs.npz", "npz", train),
        SourceFile("kmnist-train-labels.npz", "npz", train),
        SourceFile("kmnist-test-imgs.npz", "npz", test, trains=False),
        SourceFile("kmnist-test-labels.npz", "npz", test, trains=False),
    )  # fmt: skip


def _imagenet() -> tuple[SourceFile, ...]:
    return (
        SourceFile("ILSVRC2012_img_train.tar", "archives", size=147_897_477_120,
                   md5="1d675b47d978889d74fa0da5fadfb00e"),
        SourceFile("ILSVRC2012_img_val.tar", "archives", trains=False, size=6_744_924_160,
                   md5="29b22e2961454d5413ddabcf34fc5622"),
    )  # fmt: skip


BUNDLED, GENERATED, FILES = "bundled", "generated", "files"

SETS: Registry[DataSet] = Registry(
    "name",
    (
        DataSet(
            "digits", "handwritten digits, bundled with scikit-learn", (8, 8, 1), 10, 1797, BUNDLED,
            page="https://archive.ics.uci.edu/dataset/80",
        ),
        DataSet(
            "sphere", "points on a sphere with Gaussian targets, any number", (32,), 0, 0, GENERATED
        ),
        DataSet(
            ADD, "sequences of coins: add what came two and five steps ago", (100, 1), 0, 300,
            GENERATED,
        ),
        DataSet(
            "cifar10", "photographs of animals and vehicles", (32, 32, 3), 10, 50_000, FILES,
            page="https://www.cs.toronto.edu/~kriz/cifar.html",
            base="https://www.cs.toronto.edu/~kriz/",
            place="unpack one of the archives (tar -xzf); the folder it makes, or the one above it",
            files=_cifar10(),
        ),
        DataSet(
            "kmnist", "Kuzushiji-MNIST: handwritten hiragana", (28, 28, 1), 10, 60_000, FILES,
            page="https://github.com/rois-codh/kmnist",
            base="http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
            place="images and labels in one folder, as idx files (packed or not) or as npz files",
            files=_kmnist(),
        ),
        DataSet(
            "imagenet", "ILSVRC 2012: photographs of a thousand classes", (224, 224, 3), 1000,
            1_281_167, FILES,
            page="https://www.image-net.org/download.php",
            place="after registering: a folder with train/CLASS/IMAGE and val/CLASS/IMAGE",
            files=_imagenet(),
        ),
    ),
)  # fmt: skip
"""All sets, in the order in which they are listed."""
