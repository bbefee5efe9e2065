"""Drugs and drug-like molecules of 20 to 60 atoms, as SMILES, and how they become structures.

RDKit's ETKDG embeds them with a given seed.  No force field is applied, so that the starts are what a user
gets from the embedding alone.  :data:`DRUGS` is the set that is reported, :data:`DEVELOPMENT` that on which
optimizers are tuned; they have no molecule in common.
"""

from __future__ import annotations

from ase import Atoms

SEED = 2026
DRUGS = {
    "acyclovir": "NC1=NC(=O)c2ncn(COCCO)c2N1",
    "amitriptyline": "CN(C)CCC=C1c2ccccc2CCc2ccccc21",
    "amoxicillin": "CC1(C)SC2C(NC(=O)C(N)c3ccc(O)cc3)C(=O)N2C1C(=O)O",
    "aspartame": "COC(=O)C(Cc1ccccc1)NC(=O)C(N)CC(=O)O",
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "atenolol": "CC(C)NCC(O)COc1ccc(CC(N)=O)cc1",
    "bromhexine": "CN(Cc1cc(Br)cc(Br)c1N)C1CCCCC1",
    "bupropion": "CC(NC(C)(C)C)C(=O)c1cccc(Cl)c1",
    "captopril": "CC(CS)C(=O)N1CCCC1C(=O)O",
    "carbamazepine": "NC(=O)N1c2ccccc2C=Cc2ccccc21",
    "celecoxib": "Cc1ccc(cc1)-c1cc(nn1-c1ccc(cc1)S(N)(=O)=O)C(F)(F)F",
    "chloramphenicol": "OCC(NC(=O)C(Cl)Cl)C(O)c1ccc(cc1)[N+](=O)[O-]",
    "chlorpromazine": "CN(C)CCCN1c2ccccc2Sc2ccc(Cl)cc21",
    "cimetidine": "CNC(=NCCSCc1[nH]cnc1C)NC#N",
    "ciprofloxacin": "OC(=O)C1=CN(C2CC2)c2cc(N3CCNCC3)c(F)cc2C1=O",
    "cyclophosphamide": "ClCCN(CCCl)P1(=O)NCCCO1",
    "dexamethasone": "CC1CC2C3CCC4=CC(=O)C=CC4(C)C3(F)C(O)CC2(C)C1(O)C(=O)CO",
    "diazepam": "CN1C(=O)CN=C(c2ccccc2)c2cc(Cl)ccc21",
    "diclofenac": "OC(=O)Cc1ccccc1Nc1c(Cl)cccc1Cl",
    "diltiazem": "COc1ccc(cc1)C1Sc2ccccc2N(CCN(C)C)C(=O)C1OC(C)=O",
    "enalapril": "CCOC(=O)C(CCc1ccccc1)NC(C)C(=O)N1CCCC1C(=O)O",
    "fluconazole": "OC(Cn1cncn1)(Cn1cncn1)c1ccc(F)cc1F",
    "fluoxetine": "CNCCC(Oc1ccc(cc1)C(F)(F)F)c1ccccc1",
    "furosemide": "NS(=O)(=O)c1cc(C(=O)O)c(NCc2ccco2)cc1Cl",
    "gabapentin": "NCC1(CC(=O)O)CCCCC1",
    "glipizide": "Cc1cnc(cn1)C(=O)NCCc1ccc(cc1)S(=O)(=O)NC(=O)NC1CCCCC1",
    "haloperidol": "OC1(CCN(CCCC(=O)c2ccc(F)cc2)CC1)c1ccc(Cl)cc1",
    "ibuprofen": "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
    "lidocaine": "CCN(CC)CC(=O)Nc1c(C)cccc1C",
    "loratadine": "CCOC(=O)N1CCC(=C2c3ccc(Cl)cc3CCc3cccnc32)CC1",
    "losartan": "CCCCc1nc(Cl)c(CO)n1Cc1ccc(cc1)-c1ccccc1-c1nnn[nH]1",
    "malathion": "CCOC(=O)CC(SP(=S)(OC)OC)C(=O)OCC",
    "melatonin": "COc1ccc2[nH]cc(CCNC(C)=O)c2c1",
    "methylphenidate": "COC(=O)C(C1CCCCN1)c1ccccc1",
    "metoprolol": "COCCc1ccc(OCC(O)CNC(C)C)cc1",
    "metronidazole": "Cc1ncc([N+](=O)[O-])n1CCO",
    "nicotine": "CN1CCCC1c1cccnc1",
    "omeprazole": "COc1ccc2[nH]c(nc2c1)S(=O)Cc1ncc(C)c(OC)c1C",
    "oseltamivir": "CCOC(=O)C1=CC(OC(CC)CC)C(NC(C)=O)C(N)C1",
    "pentoxifylline": "CC(=O)CCCCN1C(=O)c2c(ncn2C)N(C)C1=O",
    "procaine": "CCN(CC)CCOC(=O)c1ccc(N)cc1",
    "propranolol": "CC(C)NCC(O)COc1cccc2ccccc12",
    "ranitidine": "CNC(=C[N+](=O)[O-])NCCSCc1ccc(CN(C)C)o1",
    "salbutamol": "CC(C)(C)NCC(O)c1ccc(O)c(CO)c1",
    "sulfamethoxazole": "Cc1cc(NS(=O)(=O)c2ccc(N)cc2)no1",
    "trimethoprim": "COc1cc(Cc2cnc(N)nc2N)cc(OC)c1OC",
    "venlafaxine": "COc1ccc(cc1)C(CN(C)C)C1(O)CCCCC1",
    "warfarin": "CC(=O)CC(c1ccccc1)C1=C(O)c2ccccc2OC1=O",
    "zidovudine": "CC1=CN(C2CC(N=[N+]=[N-])C(CO)O2)C(=O)NC1=O",
    "zolpidem": "Cc1ccc(cc1)-c1nc2ccc(C)cn2c1CC(=O)N(C)C",
}

DEVELOPMENT_SEED = 7
DEVELOPMENT = {
    "pentylphenol": "CCCCCc1ccc(O)cc1",
    "actyramine": "CC(=O)NCCc1ccc(O)cc1",
    "acsulfa": "NS(=O)(=O)c1ccc(NC(=O)C)cc1",
    "sulfonNMe2": "CN(C)S(=O)(=O)c1ccccc1OC",
    "bnprolinamide": "O=C(NCc1ccccc1)C1CCCN1",
    "acleunhme": "CC(C)CC(NC(C)=O)C(=O)NC",
    "acalagly": "CC(=O)NC(C)C(=O)NCC(=O)NC",
    "meoctanoate": "CCCCCCCC(=O)OC",
    "meglucoside": "OCC1OC(OC)C(O)C(O)C1O",
    "phpyrmorph": "c1ccc(cc1)-c1ncc(cn1)CN1CCOCC1",
    "anisamide": "COc1ccc(cc1)C(=O)Nc1ncccn1",
    "fphpip": "Fc1ccc(cc1)C(O)CN1CCCCC1",
    "dhpm": "CCOC(=O)C1=C(C)NC(=O)NC1C",
    "nortropfur": "C1CC2CCC1N2C(=O)c1ccco1",
    "oxadiazole": "CSc1nnc(CCC(=O)O)o1",
    "sulfcPr": "Clc1ccc(cc1)S(=O)(=O)NC1CC1",
    "imide": "CC1(C)CC(=O)N(c2ccccc2)C1=O",
    "nitrile": "N#CCCN(C)c1ccc(C=O)cc1",
    "alkyne": "C#CCOc1ccc(cc1)CC(N)C",
    "thioamide": "CCN(CC)CCNC(=O)c1cccs1",
    "suberone": "O=C1c2ccccc2CCc2ccccc21",
    "sulfonylurea": "CCCCNC(=O)NS(=O)(=O)c1ccccc1",
}


def embedded(smiles: str, seed: int) -> Atoms:
    """Return a molecule as ETKDG embeds it.  Raises ValueError where RDKit is missing."""
    try:
        from rdkit import Chem
        from rdkit.Chem import AllChem
    except ImportError:
        raise ValueError('molecules from SMILES need rdkit: pip install "relax[molecules]"') from None
    found = Chem.AddHs(Chem.MolFromSmiles(smiles))
    if AllChem.EmbedMolecule(found, randomSeed=seed) != 0:
        raise ValueError(f"{smiles} cannot be embedded with seed {seed}")
    return Atoms([atom.GetSymbol() for atom in found.GetAtoms()], found.GetConformer().GetPositions())


def all_embedded(molecules: dict[str, str], seed: int) -> dict[str, Atoms]:
    """Return molecules as ETKDG embeds them, by their name."""
    return {name: embedded(smiles, seed) for name, smiles in molecules.items()}


def drugs() -> dict[str, Atoms]:
    """Return the molecules of the set that is reported."""
    return all_embedded(DRUGS, SEED)
