"""Bedrock's requests, from the service model that botocore ships."""

from botocore.loaders import Loader

from .table import literal

SCALARS = {
    "blob": "bytes",
    "boolean": "bool",
    "double": "number",
    "float": "number",
    "integer": "int",
    "long": "int",
    "timestamp": "number",
}
OPERATIONS = ["Converse", "ConverseStream", "CountTokens"]


def bedrock(table):
    model = Loader().load_service_model("bedrock-runtime", "service-2")
    shapes = model["shapes"]

    def of(reference):
        name = reference["shape"]
        shape = shapes[name]
        kind = shape["type"]
        if kind == "structure":
            if shape.get("document"):
                return "any"
            return table.named(name, name, lambda: members(shape))
        if kind == "list":
            return bounded({"list": of(shape["member"])}, shape)
        if kind == "map":
            return {"map": of(shape["value"])}
        if kind == "string":
            if "enum" in shape:
                return literal(shape["enum"])
            return bounded("text", shape, ("pattern",))
        return bounded(SCALARS[kind], shape)

    def bounded(kind, shape, more=()):
        bounds = {name: shape[name] for name in ("min", "max", *more) if name in shape}
        return {"bounded": {"kind": kind, **bounds}} if bounds else kind

    def members(shape):
        required = shape.get("required", [])
        made = {
            name + "!" * (name in required): of(member)
            for name, member in shape["members"].items()
            # The path and the headers hold the others.
            if "location" not in member
        }
        return {"members": made, "union": True} if shape.get("union") else {"members": made}

    for name in OPERATIONS:
        table.requests[name] = of(model["operations"][name]["input"])
