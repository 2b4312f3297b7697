"""The bytes of any record: features as a `tf.train.Example`, in a TFRecord frame.

Records are encoded here, without TensorFlow, for three reasons: sampling workers start at once and
stay small, patches go to disk without being copied on the way, and the length of a record follows
from its scalars alone, so that a sampler knows where in which shard each record goes before it has
made any.

Conventions: features are sorted by name, as protobuf's deterministic serialisation does. A
*payload* is a serialised Example; a *frame* is length, its checksum, payload, its checksum
(CRC-32C, masked as TensorFlow does). Patches are raw little-endian float32 bytes; a list of floats
would be fifty times slower to write.

Protobuf in brief: a field is a tag, then, for the fields used here, its length and its content;
numbers are *varints* of 7 bits a byte, 10 bytes for negative ones.
"""

import struct
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal

import google_crc32c
import numpy as np

Buffer = bytes | np.ndarray
FeatureType = Literal["int64", "float32", "bytes"]

PATCH_DTYPE = np.dtype("<f4")
FRAME_HEADER = struct.Struct("<QI")  # length of the payload, masked checksum of the length
FRAME_FOOTER = struct.Struct("<I")  # masked checksum of the payload
FRAME_OVERHEAD = FRAME_HEADER.size + FRAME_FOOTER.size  # bytes
MAX_PAYLOAD = (1 << 31) - 1  # bytes; protobuf reads no longer message

_CRC_MASK = 0xA282EAD8  # added by TensorFlow, lest a checksum of checksums be trivial
_NESTED = b"\n"  # the tag of field 1: Example.features, an entry, its key, a list, a value
_VALUE = b"\x12"  # the tag of field 2: the value of an entry
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = b"\n", b"\x12", b"\x1a"  # fields 1 to 3 of a Feature
_VARINT_LIMITS = np.array([1 << 7 * i for i in range(1, 10)], np.uint64)


def encode_example(features: Mapping[str, int | float | Buffer]) -> list[Buffer]:
    """Returns a serialised `tf.train.Example` as buffers; join them for the payload.

    Args:
        features: Name to one int, one float, or bytes; a contiguous array counts as its bytes.
            Its keys must be ASCII, which sorts alike in every language.
    """
    buffers: list[Buffer] = []
    pending = b""
    for name in sorted(features):
        value = features[name]
        pending += _entry_head(name, value)
        if isinstance(value, (bytes, np.ndarray)):
            buffers += [pending, value]
            pending = b""
    buffers.append(pending)
    return [_NESTED + _varint(num_bytes(buffers)), *buffers]


def frame(payload: Sequence[Buffer]) -> list[Buffer]:
    """Puts the buffers of a payload into a TFRecord frame."""
    length = num_bytes(payload)
    if length > MAX_PAYLOAD:
        raise ValueError(f"a record must be shorter than 2 GiB; got {length:,} bytes.")
    crc = 0
    for buffer in payload:
        crc = google_crc32c.extend(crc, buffer)
    header = length.to_bytes(8, "little")
    header += FRAME_FOOTER.pack(masked_crc(header))
    return [header, *payload, FRAME_FOOTER.pack(_mask(crc))]


def num_bytes(buffers: Sequence[Buffer]) -> int:
    """The total length of `buffers`."""
    return sum(b.nbytes if isinstance(b, np.ndarray) else len(b) for b in buffers)


def masked_crc(content: bytes) -> int:
    """The checksum that TFRecord frames carry."""
    return _mask(google_crc32c.value(content))


def varint_size(value: Any) -> np.ndarray:
    """How many bytes int64 values take as protobuf writes them: 1 to 10. Works on arrays."""
    unsigned = np.asarray(value).astype(np.int64).view(np.uint64)
    return np.searchsorted(_VARINT_LIMITS, unsigned, side="right").astype(np.int64) + 1


def framed_size(
    features: Mapping[str, int | float | Buffer], varying: Mapping[str, np.ndarray | int]
) -> np.ndarray:
    """Returns the length in bytes of the frames of records that differ in some integers, int64.

    Args:
        features: Those that all records have in common; of bytes and floats only the size counts.
        varying: The integers that differ: scalars or arrays that broadcast against each other.
    """
    # Lengths around scalars stay below 128, so that each takes one byte whatever the values are.
    fixed = sum(
        len(_entry_head(name, value)) + (value.nbytes if isinstance(value, np.ndarray) else 0)
        for name, value in features.items()
    ) + sum(len(_entry_head(name, 0)) - 1 for name in varying)
    total = fixed + sum(map(varint_size, varying.values()))
    return len(_NESTED) + varint_size(total) + total + FRAME_OVERHEAD


def parse_example(payload: bytes) -> dict[str, list[int] | list[float] | list[bytes]]:
    """Returns the features of a serialised `tf.train.Example`, each a list of its values."""
    from google.protobuf.message import DecodeError

    example = _example_class()()
    try:
        example.ParseFromString(payload)
    except DecodeError as error:
        raise ValueError(f"it is no tf.train.Example ({error})") from None
    features = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        features[name] = list(getattr(feature, kind).value) if kind else []
    return features


def decode_example(
    payload: bytes, required: Mapping[str, FeatureType], what: str
) -> dict[str, Any]:
    """Returns the features of a serialised Example by name, single values without their list.

    Args:
        payload: The serialised Example.
        required: Features that must be one value of these types each; any others are returned too.
        what: What it should be, for the error message: "a pair of patches".
    """
    features: dict[str, Any] = {}
    for name, values in parse_example(payload).items():
        features[name] = values[0] if len(values) == 1 else values
    for name, kind in required.items():
        if not isinstance(features.get(name), {"int64": int, "float32": float}.get(kind, bytes)):
            raise ValueError(f"it is not {what}: its feature {name!r} should be one {kind} value")
    return features


def decode_patch(name: str, content: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    """Returns the bytes of a patch as a read-only float32 array; its size is checked before."""
    height, width, channels = shape
    expected = height * width * channels * PATCH_DTYPE.itemsize
    if min(shape) < 1 or len(content) != expected:
        raise ValueError(
            f"its {name} has {len(content):,} bytes, but (H, W, C) = {shape} of float32 "
            f"takes {expected:,}"
        )
    return np.frombuffer(content, PATCH_DTYPE).reshape(shape)


def _entry_head(name: str, value: int | float | Buffer) -> bytes:
    # One entry of the map Features.feature, without the content of a bytes value.
    key = _delimited(_NESTED, name.encode("ascii"))
    if isinstance(value, (bytes, np.ndarray)):
        size = num_bytes([value])
        head = _NESTED + _varint(size)
        for tag in (_BYTES_LIST, _VALUE):
            head = tag + _varint(len(head) + size) + head
        return _NESTED + _varint(len(key) + len(head) + size) + key + head
    if isinstance(value, float):
        values = _delimited(_FLOAT_LIST, _delimited(_NESTED, struct.pack("<f", value)))
    else:
        values = _delimited(_INT64_LIST, _delimited(_NESTED, _varint(value)))
    return _delimited(_NESTED, key + _delimited(_VALUE, values))


def _delimited(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"integers of a record must fit 64 bits; got {value}.")
    value &= (1 << 64) - 1
    content = bytearray()
    while value > 0x7F:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    content.append(value)
    return bytes(content)


def _mask(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + _CRC_MASK) & 0xFFFFFFFF


@cache
def _example_class() -> Any:
    # tf.train.Example, described in a pool of its own: TensorFlow may be loaded as well.
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="atmodist/example.proto", package="atmodist", syntax="proto3"
    )

    def add(message: Any, number: int, name: str, kind: Any, repeated: bool = False) -> Any:
        label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
        described = message.field.add(name=name, number=number, label=label)
        if isinstance(kind, str):
            described.type, described.type_name = field.TYPE_MESSAGE, f".atmodist.{kind}"
        else:
            described.type = kind
        return described

    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    lists = {"Bytes": field.TYPE_BYTES, "Float": field.TYPE_FLOAT, "Int64": field.TYPE_INT64}
    for number, (name, kind) in enumerate(lists.items(), start=1):
        add(file.message_type.add(name=f"{name}List"), 1, "value", kind, repeated=True)
        add(feature, number, f"{name.lower()}_list", f"{name}List").oneof_index = 0
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True  # map<string, Feature>
    add(entry, 1, "key", field.TYPE_STRING)
    add(entry, 2, "value", "Feature")
    add(features, 1, "feature", "Features.FeatureEntry", repeated=True)
    add(file.message_type.add(name="Example"), 1, "features", "Features")

    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("atmodist.Example"))
