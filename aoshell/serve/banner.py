"""The text that is printed when a node is served: lines to paste, addresses, modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aoshell.nodes.served import NetworkModule


@dataclass(frozen=True, slots=True)
class ServingFacts:
    """Where a node is served, and what clients need to know about it.

    Attributes:
        url: URL of all roles.
        ports: ports of single roles, by name; {} without `--ports`.
        address: address of the node.
        hyperbeam: address of the key that signs HyperBEAM answers, "" without that role.
        authority: who owns what processes send (`--authority`).
        modules: modules that also have ids on the network.
        environment: id of the module that the prompt makes processes of.
        token: token of the workbench.
    """

    url: str
    host: str
    port: int
    address: str
    authority: str
    environment: str
    token: str = field(repr=False)
    hyperbeam: str = ""
    modules: Sequence[NetworkModule] = ()
    ports: Mapping[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """docs/json.md lists the fields."""
        return {
            "url": self.url,
            "host": self.host,
            "port": self.port,
            "ports": dict(self.ports),
            "address": self.address,
            "hyperbeam": self.hyperbeam,
            "authority": self.authority,
            "environment": self.environment,
            "modules": {one.id: one.name for one in self.modules},
            "token": self.token,
        }

    def as_text(self) -> str:
        """For people: commands to paste, and facts that clients ask for."""
        url = self.url
        lines = [
            f"serving this node on {url}",
            f"open it in a browser to see its processes: {url}/",
            "",
            f"  aos NAME --gateway-url {url} --mu-url {url} --cu-url {url} --legacy",
            f"  GATEWAY_URL={url} aos NAME --url {url}",
            f'  connect({{ MODE: "legacy", GATEWAY_URL: "{url}",'
            f' MU_URL: "{url}", CU_URL: "{url}" }})',
            *self._mainnet(),
            f"  export GATEWAY_URL={url} MU_URL={url} CU_URL={url}",
            f"  curl {url}/~meta@1.0/info/address",
            "",
            f"  node       {self.address}",
            *([f"  HyperBEAM  {self.hyperbeam}"] if self.hyperbeam else []),
            f"  authority  {_AUTO if self.authority == 'auto' else self.authority}",
            f"  modules    {self.environment} (the built-in environment)",
            *(f"             {one.id} ({one.name or 'no name'})" for one in self.modules),
            *self._single_ports(),
            f"  workbench  {url}/~aoshell@1.0/VERB with Authorization: Bearer {self.token}",
        ]
        return "\n".join(lines)

    def _mainnet(self) -> list[str]:
        if not self.hyperbeam:
            return []
        return [
            f'  connect({{ MODE: "mainnet", URL: "{self.url}", SCHEDULER: "{self.hyperbeam}",'
            " signer })"
        ]

    def _single_ports(self) -> list[str]:
        named = ", ".join(f"{role} {port}" for role, port in self.ports.items())
        return [f"  ports      {named}"] if named else []


_AUTO = "auto (pushed messages are owned by the first Authority of a process that a client spawns)"
