"""The standard objects have the nodes, formats and presence of OMA's documents."""

from __future__ import annotations

import pytest

from openami.omadm.objects.catalog import device_schema
from openami.omadm.tree.node import Format

# One line for each interior node: its children, "?" where one may be missing, and the format of
# those that are not chr. OMA-TS-DM_StdObj 1.2, OMA-TS-DM-FUMO 1.0, OMA-TS-DM-SCOMO 1.0.
LAYOUTS = {
    "DevInfo": "DevId Man Mod DmV Lang Ext?:node",
    "DevDetail": "URI:node DevTyp OEM FwV SwV HwV LrgObj:bool Ext?:node",
    "DevDetail/URI": "MaxDepth MaxTotLen MaxSegLen",
    "DMAcc/x": "AppID ServerID Name? PrefConRef? ToConRef?:node AppAddr:node AAuthPref? AppAuth?:node"
    " Ext?:node",
    "DMAcc/x/ToConRef/x": "ConRef",
    "DMAcc/x/AppAddr/x": "Addr AddrType Port?:node",
    "DMAcc/x/AppAddr/x/Port/x": "PortNbr",
    "DMAcc/x/AppAuth/x": "AAuthLevel AAuthType AAuthName? AAuthSecret? AAuthData?:bin",
    "FUMO/x": "PkgName? PkgVersion? Download?:node Update?:node DownloadAndUpdate?:node State:int"
    " Ext?:node",
    "FUMO/x/Download": "PkgURL",
    "FUMO/x/Update": "PkgData?:bin",
    "FUMO/x/DownloadAndUpdate": "PkgURL",
    "SCOMO": "Download:node Inventory:node",
    "SCOMO/Download/x": "PkgID Name? PkgURL InstallParams? Description? Status:int EnvType? PkgType?"
    " Operations:node Ext?:node",
    "SCOMO/Download/x/Operations": "Download?:null DownloadInstall?:null"
    " DownloadInstallInactive?:null",
    "SCOMO/Inventory": "Delivered:node Deployed:node",
    "SCOMO/Inventory/Delivered/x": "PkgID Name? Description? Data?:bin InstallParams? State?:int"
    " Status?:int EnvType? PkgType? Operations:node Ext?:node",
    "SCOMO/Inventory/Delivered/x/Operations": "Install?:null InstallInactive?:null Remove?:null",
    "SCOMO/Inventory/Deployed/x": "ID PkgIDRef? Name? Version? Description? State:int Status?:int"
    " EnvType? Operations:node Ext?:node",
    "SCOMO/Inventory/Deployed/x/Operations": "Activate?:null Deactivate?:null Remove?:null",
}


def parsed(word: str) -> tuple[str, Format]:
    name, _, form = word.replace("?", "").partition(":")
    return name, Format(form or "chr")


@pytest.mark.parametrize("path", LAYOUTS)
def test_the_nodes_of_an_object(path: str) -> None:
    rule = device_schema().rule(tuple(path.split("/")))
    assert rule is not None
    words = LAYOUTS[path].split()
    assert {(child.name, child.format) for child in rule.children} == set(map(parsed, words))
    optional = {parsed(word)[0] for word in words if "?" in word}
    assert {child.name for child in rule.children if not child.least} == optional
