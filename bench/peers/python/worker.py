"""Python's protobuf on upb, as a worker of the protobuf benchmark: loops inside one process, so that what is measured
beside upb is one call from Python an operation.

`worker.py <folder of the corpus>`; the commands are those of heddle-bench-worker.
"""

import json
import sys
import time
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.internal import api_implementation


class Case:
    """A message, and what is done to it."""

    def __init__(self, folder, described, pool):
        self.name = described["name"]
        self.path = described["path"]
        self.path_by_name = described["path_by_name"]
        self.new_value = described["new_value"]
        self.wire = (folder / f"{self.name}.binpb").read_bytes()
        self.json = (folder / f"{self.name}.json").read_bytes()
        descriptor = pool.FindMessageTypeByName(described["message_type"])
        self.type = message_factory.GetMessageClass(descriptor)

    def compile(self, template, **names):
        """A function of no arguments whose body knows the path, as somebody would write it by hand."""
        way, _, last = self.path_by_name.rpartition(".")
        source = template.format(path=self.path_by_name, parent=f"message.{way}" if way else "message", last=last)
        scope = {"parse": self.type.FromString, "wire": self.wire, "value": self.new_value, **names}
        exec(source, scope)  # noqa: S102: the path comes from our own corpus.
        return scope["perform"]


def decode(case):
    return case.compile("def perform():\n    return parse(wire) and None")


def reencode(case):
    return case.compile("def perform():\n    return parse(wire).SerializeToString()")


def change(case):
    return case.compile(
        "def perform():\n    message = parse(wire)\n    {parent}.{last} = value\n    return message.SerializeToString()"
    )


def get(case):
    return case.compile("def perform():\n    return parse(wire).{path}")


def to_json(case):
    return case.compile(
        "def perform():\n    return write(parse(wire), indent=None, ensure_ascii=False).encode()",
        write=json_format.MessageToJson,
    )


def from_json(case):
    return case.compile(
        "def perform():\n    return read(text, kind()).SerializeToString()",
        read=json_format.Parse,
        text=case.json,
        kind=case.type,
    )


OPERATIONS = {
    "decode": decode,
    "reencode": reencode,
    "reencode-one": change,
    "get": get,
    "set": change,
    "to-json": to_json,
    "from-json": from_json,
}


def run(perform, times):
    started = time.process_time_ns()
    for _ in range(times):
        perform()
    return time.process_time_ns() - started


def show(perform, file):
    shown = perform()
    if shown is None:
        shown = 0
    Path(file).write_bytes(shown if isinstance(shown, bytes) else str(shown).encode())
    return "ok"


def answer(cases, prepared, line):
    command, operation, message, argument = line.split(" ")
    if operation not in OPERATIONS:
        return "none"
    key = (operation, message)
    if key not in prepared:
        prepared[key] = OPERATIONS[operation](cases[message])
    if command == "run":
        return run(prepared[key], int(argument))
    if command == "show":
        return show(prepared[key], argument)
    raise ValueError(f"no command {command}")


def main():
    if api_implementation.Type() != "upb":
        raise RuntimeError(f"protobuf runs on {api_implementation.Type()} instead of upb")
    folder = Path(sys.argv[1])
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString((folder / "schema.binpb").read_bytes()).file:
        pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    described = json.loads((folder / "cases.json").read_text())
    cases = {case.name: case for case in (Case(folder, one, pool) for one in described)}
    prepared = {}
    for line in sys.stdin:
        try:
            print(answer(cases, prepared, line.strip()), flush=True)
        except Exception as error:  # noqa: BLE001: every failure is an answer.
            print("error", " ".join(f"{type(error).__name__}: {error}".split()), flush=True)


if __name__ == "__main__":
    main()
