"""Files that are made to do harm: each would leave a canary behind if anything of it were run.

A builder gets the path of its canary, and returns the bytes of a file, or writes a folder.
"""

import io
import json
import pickle
import struct
import zipfile

import torch
from edm_snapshot import write_snapshot

from .conftest import SCALARS, SPEC

MARK = b"CANARY-CODE"
RECONSTRUCT = b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n"


def text(word):
    data = word.encode() if isinstance(word, str) else word
    return b"X" + struct.pack("<I", len(data)) + data


def system(canary):
    """Instructions that call `os.system("touch CANARY")` in an ordinary reader."""
    return b"cos\nsystem\n" + text(f"touch {canary}") + b"\x85R"


# Names that pickles reach code by; each is called on a text that would leave the canary.
GADGETS = [
    ("os", "system"), ("posix", "system"), ("nt", "system"), ("subprocess", "getoutput"),
    ("subprocess", "Popen"), ("builtins", "exec"), ("builtins", "eval"), ("__builtin__", "eval"),
    ("builtins", "getattr"), ("builtins", "__import__"), ("builtins", "open"),
    ("importlib", "import_module"), ("runpy", "run_path"), ("pickle", "loads"),
    ("_pickle", "loads"), ("marshal", "loads"), ("types", "FunctionType"), ("torch", "load"),
    ("torch.serialization", "load"), ("torch.hub", "load"), ("torch.jit", "load"),
    ("numpy", "load"), ("numpy.f2py.crackfortran", "getlincoef"), ("operator", "attrgetter"),
    ("functools", "partial"), ("ctypes", "CDLL"), ("shutil", "rmtree"), ("code", "interact"),
    ("pty", "spawn"), ("webbrowser", "open"), ("pip", "main"), ("timeit", "timeit"),
    ("torch_utils.persistence", "_src_to_module"), ("torch_utils.persistence", "exec"),
    ("torch._utils", "_rebuild_tensor_v2.__globals__"), ("collections", "OrderedDict.__init__"),
    ("torch.storage", "torch.load"), ("os", "system\x00"), ("dnnlib.util", "get_obj_by_name"),
]  # fmt: skip


def gadget(module, name, canary):
    call = f"c{module}\n{name}\n".encode() + text(f"touch {canary}") + b"\x85R"
    return b"\x80\x04}" + text("ema") + call + b"s."


def in_snapshot(instructions, *, key="loss_fn"):
    """A valid frame around instructions: a dict with an averaged network and something else."""
    return b"\x80\x04}" + text("ema") + b"N" + b"s" + text(key) + instructions + b"s."


def persistent(state):
    """A persistent object with hand-written state instructions."""
    return (
        RECONSTRUCT + b"}(" + text("type") + text("class") + text("version") + b"K\x06"
        + text("module_src") + text("raise SystemExit") + text("class_name") + text("EDMPrecond")
        + text("state") + state + b"u\x85R"
    )  # fmt: skip


def of_network(state):
    return b"\x80\x04}" + text("ema") + persistent(state) + b"s."


def blob(canary, part):
    """What `torch.save` wrote for one storage, with a call in one of its pickles."""
    evil = b"\x80\x02" + system(canary) + b"."
    file = io.BytesIO()
    torch.save(torch.UntypedStorage(4), file, _use_new_zipfile_serialization=False)
    parts = [
        pickle.dumps(0x1950A86A20F9469CFC6C, 2), pickle.dumps(1001, 2),
        pickle.dumps({"little_endian": True}, 2),
        b"\x80\x02(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
        + b"K\x01NtQ.",
        pickle.dumps(["0"], 2),
    ]  # fmt: skip
    if part is not None:
        parts[part] = evil
    return b"".join(parts) + struct.pack("<q", 1) + b"\0\0\0\0"


def tensor(stored, size=b"K\x01\x85", strides=b"K\x01\x85", offset=b"K\x00"):
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + stored + offset + size + strides
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )  # fmt: skip


def stored(data):
    return b"ctorch.storage\n_load_from_bytes\nB" + struct.pack("<I", len(data)) + data + b"\x85R"


def plain(value):
    """Instructions that make a plain value."""
    return pickle.dumps(value, 2)[2:-1]


def items(**instructions):
    return b"}(" + b"".join(text(key) + value for key, value in instructions.items()) + b"u"


def with_tensor(instructions):
    """A network that could be built, one of whose tensors is what is given."""
    inside = items(_init_kwargs=plain(SPEC), _parameters=items(w=instructions))
    model = persistent(inside).replace(text("EDMPrecond"), text("SongUNet"))
    scalars = {key: plain(value) for key, value in SCALARS.items()}
    return of_network(items(_modules=items(model=model), **scalars))


def snapshot(**changes):
    """A snapshot whose network asks for something impossible."""
    tensors = {"model.map_layer0.weight": torch.ones(2, 2)}
    words = SPEC | changes
    return write_snapshot("EDMPrecond", SCALARS, "SongUNet", words, tensors)


def archive(*entries, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as zipped:
        for name, content in entries:
            zipped.writestr(name, content)
    return file.getvalue()


def zip_reference(key, count=1, kind="FloatStorage"):
    return (
        b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu")
        + b"J" + struct.pack("<i", count) + b"tQ"
    )  # fmt: skip


def state_dict(*named):
    body = b"".join(text(name) + instructions for name, instructions in named)
    return b"\x80\x02}(" + body + b"u."


def overlapping(canary):
    """A zip whose table points a hundred times to the same megabyte."""
    big = b"\0" * (1 << 20)
    names = [f"a/data/{i}" for i in range(100)]
    named = [(f"w{i}", tensor(zip_reference(str(i), 1 << 18))) for i in range(100)]
    data = archive(("a/data.pkl", state_dict(*named)), (names[0], big))
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        info = zipped.getinfo(names[0])
        start = zipped.start_dir
    table = data[start:]
    entry_at = table.rindex(b"PK\x01\x02")
    end_at = table.rindex(b"PK\x05\x06")
    entry = table[entry_at:end_at]
    more = b"".join(
        entry.replace(names[0].encode(), name.encode())
        for name in names[1:] if len(name) == len(names[0])
    )  # fmt: skip
    count = 2 + sum(len(name) == len(names[0]) for name in names[1:])
    assert info.header_offset >= 0
    end = bytearray(table[end_at:])
    end[8:12] = struct.pack("<HH", count, count)
    end[12:16] = struct.pack("<I", end_at + len(more))
    return data[:start] + table[:end_at] + more + bytes(end)


def legacy(canary):
    file = io.BytesIO()
    torch.save({"w": torch.ones(2)}, file, _use_new_zipfile_serialization=False)
    data = file.getvalue()
    at = data.index(b"ctorch._utils\n_rebuild_tensor_v2")
    return data[:at] + system(canary) + b"0" + data[at:]


def shared_modules(canary):
    """Modules that share their children, level after level: 2^40 paths."""
    program = b"\x80\x04}" + text("ema")
    inner = persistent(b"}")
    for level in range(40):
        inner = persistent(
            b"}" + text("_modules") + b"}(" + text("a") + inner
            + b"r" + struct.pack("<I", level) + text("b") + b"j" + struct.pack("<I", level) + b"us"
        )  # fmt: skip
    return program + inner + b"s."


FILES = {
    **{f"{m}.{n}": lambda c, m=m, n=n: gadget(m, n, c) for m, n in GADGETS},
    "call in loss_fn": lambda c: in_snapshot(system(c)),
    "call in the augmentation": lambda c: in_snapshot(system(c), key="augment_pipe"),
    "call by a name from the stack": lambda c: in_snapshot(
        text("os") + text("system") + b"\x93" + text(f"touch {c}") + b"\x85R"
    ),
    "call in the state of a module": lambda c: of_network(b"}" + text("x") + system(c) + b"s"),
    "call as a parameter": lambda c: with_tensor(system(c)),
    "call in the words of the constructor": lambda c: of_network(
        b"}" + text("_init_kwargs") + b"}" + text("model_type") + system(c) + b"ss"
    ),
    "call in the hooks of a tensor": lambda c: with_tensor(
        tensor(stored(blob(c, None))).replace(b"ccollections\nOrderedDict\n)R", system(c))
    ),
    "call as the key of a dict": lambda c: b"\x80\x04}" + system(c) + b"Ns.",
    **{
        f"call in pickle {part} of a storage": lambda c, part=part: with_tensor(
            tensor(stored(blob(c, part)))
        )
        for part in range(5)
    },
    "a pickle as a storage": lambda c: with_tensor(
        tensor(stored(b"\x80\x02" + system(c) + b"."))
    ),
    "a storage that is a call": lambda c: with_tensor(tensor(system(c))),
    "class attributes set by BUILD": lambda c: in_snapshot(
        b"ctorch._utils\n_rebuild_parameter\n}" + text("__call__") + system(c) + b"sb"
    ),
    "function attributes set by BUILD": lambda c: in_snapshot(
        RECONSTRUCT + b"}" + text("__code__") + b"NsbN\x85R"
    ),
    "slots set by BUILD": lambda c: in_snapshot(
        b"ccollections\nOrderedDict\n)RN}" + text("update") + system(c) + b"s\x86b"
    ),
    "state set twice": lambda c: in_snapshot(persistent(b"}") + b"}b}b"),
    "memo overwritten under a call": lambda c: in_snapshot(
        b"ccollections\nOrderedDict\nq\x00cos\nsystem\nq\x00h\x00" + text(f"touch {c}") + b"\x85R"
    ),
    "memo never stored": lambda c: in_snapshot(b"h\x07" + text(f"touch {c}") + b"\x85R"),
    "INST": lambda c: in_snapshot(b"(" + text(f"touch {c}") + b"ios\nsystem\n"),
    "OBJ": lambda c: in_snapshot(b"(cos\nsystem\n" + text(f"touch {c}") + b"o"),
    "NEWOBJ": lambda c: in_snapshot(b"cos\nsystem\n" + text(f"touch {c}") + b"\x85\x81"),
    "NEWOBJ_EX": lambda c: in_snapshot(b"cos\nsystem\n)}\x92"),
    "EXT1": lambda c: in_snapshot(b"\x82\x01"),
    "persistent id": lambda c: in_snapshot(system(c) + b"Q"),
    "text protocol": lambda c: f"cos\nsystem\n(S'touch {c}'\ntR.".encode(),
    "a set of lists": lambda c: in_snapshot(b"\x8f(]\x90"),
    "deep modules": lambda c: of_network(
        (b"}" + text("_modules") + b"}" + text("m") + RECONSTRUCT + b"}(" + text("type")
         + text("class") + text("version") + b"K\x06" + text("class_name") + text("x")
         + text("state")) * 200 + b"}" + b"u\x85Rss" * 200
    ),
    "shared modules": shared_modules,
    "deep tuples as a key": lambda c: b"\x80\x04})" + b"\x85" * 200_000 + b"Ns.",
    "text longer than the file": lambda c: b"\x80\x04X\xff\xff\xff\x7fab.",
    "bytes of 16 EiB": lambda c: b"\x80\x04\x8e" + b"\xff" * 8 + b"ab.",
    "a number without end": lambda c: b"\x80\x04\x8b\xff\xff\xff\x7f" + b"\x01" * 100 + b".",
    "one number shown a billion times": lambda c: with_tensor(
        tensor(stored(blob(c, None)), b"J\x00\xca\x9a\x3b\x85", b"K\x00\x85")
    ),
    "a tensor before its storage": lambda c: with_tensor(
        tensor(stored(blob(c, None)), offset=b"J\xff\xff\xff\xff")
    ),
    "a tensor behind its storage": lambda c: with_tensor(
        tensor(stored(blob(c, None)), offset=b"J\xff\xff\xff\x7f")
    ),
    "a billion blocks": lambda c: snapshot(num_blocks=10**9),
    "a million levels": lambda c: snapshot(channel_mult=[1] * 10**5),
    "a picture of 2^40 px": lambda c: snapshot(img_resolution=2**40),
    "10^12 classes": lambda c: snapshot(label_dim=10**12),
    "terabytes of weights": lambda c: snapshot(model_channels=4096, channel_mult=[1, 4096]),
    "words that are calls": lambda c: snapshot(resample_filter=["x" * 1000]),
    "evil .bin": legacy,
    "evil .ckpt": lambda c: archive(("a/data.pkl", b"\x80\x02" + system(c) + b".")),
    "evil beside good weights": lambda c: archive(
        ("a/data.pkl", state_dict(("callbacks", system(c)), ("w", tensor(zip_reference("0"))))),
        ("a/data/0", b"\0\0\0\0"),
    ),
    "two pickles in a zip": lambda c: archive(
        ("a/data.pkl", b"\x80\x02}."), ("b/data.pkl", b"\x80\x02" + system(c) + b".")
    ),
    "a program of TorchScript": lambda c: archive(
        ("a/data.pkl", b"\x80\x02c__torch__\nEvil\n)\x81."), ("a/code/__torch__.py", f"# {c}")
    ),
    "a compressed zip": lambda c: archive(
        ("a/data.pkl", b"\0" * 10_000_000), compression=zipfile.ZIP_DEFLATED
    ),
    "entries on top of each other": overlapping,
    "an entry outside the zip": lambda c: archive(
        ("a/data.pkl", state_dict(("w", tensor(zip_reference("../../../etc/passwd"))))),
    ),
    "an entry of another length": lambda c: archive(
        ("a/data.pkl", state_dict(("w", tensor(zip_reference("0", 1000))))),
        ("a/data/0", b"\0" * 8),
    ),
    "a storage of objects": lambda c: archive(
        ("a/data.pkl", state_dict(("w", tensor(zip_reference("0", 1, "UntypedStorage"))))),
        ("a/data/0", b"\0" * 4),
    ),
    "a header of safetensors beyond its file": lambda c: (1 << 31).to_bytes(8, "little") + b"{}",
    "tensors of safetensors on top of each other": lambda c: _safetensors({
        "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        "b": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    }),
    "terabytes of safetensors": lambda c: _safetensors({
        "a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]},
    }),
    "deep JSON in safetensors": lambda c: (20_000).to_bytes(8, "little") + b"{" + b"[" * 19_999,
}  # fmt: skip


def _safetensors(header):
    data = json.dumps(header).encode()
    return len(data).to_bytes(8, "little") + data + b"\0" * 8


def _folder(path, index, **parts):
    (path / "model_index.json").write_text(json.dumps(index))
    for name, files in parts.items():
        (path / name).mkdir()
        for file, content in files.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            (path / name / file).write_bytes(data)


UNET = {
    "_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 3, "out_channels": 3,
    "block_out_channels": [8, 8], "layers_per_block": 1, "norm_num_groups": 4,
    "down_block_types": ["DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D"],
}  # fmt: skip
DDPM = {
    "_class_name": "DDPMPipeline", "unet": ["diffusers", "UNet2DModel"],
    "scheduler": ["diffusers", "DDPMScheduler"],
}  # fmt: skip
ONE = _safetensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})


def _code(canary):
    return f"open({str(canary)!r}, 'w')\nclass Evil: pass\n".encode()


FOLDERS = {
    "a pipeline of its own": lambda p, c: (
        (p / "pipeline.py").write_bytes(_code(c)),
        _folder(p, DDPM | {"_class_name": ["pipeline", "Evil"]}),
    ),
    "a pipeline by a file": lambda p, c: (
        (p / "pipeline.py").write_bytes(_code(c)),
        _folder(p, DDPM | {"_class_name": "pipeline.py"}),
    ),
    "a component of its own": lambda p, c: _folder(
        p, DDPM | {"unet": ["evil", "Evil"]}, unet={"evil.py": _code(c), "config.json": UNET}
    ),
    "a component of another library": lambda p, c: _folder(
        p, DDPM | {"scheduler": ["subprocess", "Popen"]}, unet={"config.json": UNET}
    ),
    "a base class as component": lambda p, c: _folder(
        p, DDPM | {"unet": ["diffusers", "DiffusionPipeline"]}, unet={"config.json": UNET}
    ),
    "a component above the folder": lambda p, c: _folder(
        p, DDPM | {"../unet": ["diffusers", "UNet2DModel"]}
    ),
    "pickled weights of a component": lambda p, c: _folder(
        p, DDPM, scheduler={"scheduler_config.json": {}},
        unet={"config.json": UNET, "diffusion_pytorch_model.bin": b"\x80\x02" + system(c) + b"."},
    ),
    "a network of terabytes": lambda p, c: _folder(
        p, DDPM, scheduler={"scheduler_config.json": {}},
        unet={
            "config.json": UNET | {"block_out_channels": [400_000, 400_000]},
            "diffusion_pytorch_model.safetensors": ONE,
        },
    ),
    "a billion layers": lambda p, c: _folder(
        p, DDPM, unet={"config.json": UNET | {"layers_per_block": 10**9}}
    ),
    "ten thousand blocks": lambda p, c: _folder(
        p, DDPM, unet={"config.json": UNET | {"down_block_types": ["DownBlock2D"] * 10_001}}
    ),
    "a schedule of 10^12 times": lambda p, c: _folder(
        p, DDPM, scheduler={"scheduler_config.json": {"num_train_timesteps": 10**12}}
    ),
    "another class in the configuration": lambda p, c: _folder(
        p, DDPM, scheduler={"scheduler_config.json": {}},
        unet={
            "config.json": UNET | {"_class_name": "os"},
            "diffusion_pytorch_model.safetensors": ONE,
        },
    ),
    "a text encoder of its own": lambda p, c: _folder(
        p,
        {
            "_class_name": "StableDiffusionPipeline",
            "text_encoder": ["transformers", "AutoModel"],
        },
        text_encoder={
            "config.json": {"auto_map": {"AutoModel": "evil.Evil"}}, "evil.py": _code(c),
        },
    ),
    "deep JSON": lambda p, c: (p / "model_index.json").write_text("[" * 200_000),
}  # fmt: skip
