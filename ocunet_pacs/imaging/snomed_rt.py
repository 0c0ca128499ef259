"""SNOMED RT identifiers that older cameras send, and the SNOMED CT concepts that they became (PS3.16 annex O).

Every concept of the context groups that eligibility and laterality look at, and nothing else.
"""

from __future__ import annotations

from types import MappingProxyType

SNOMED_CT = MappingProxyType(
    {
        # Laterality (CID 244)
        "G-A100": "24028007",  # right
        "G-A101": "7771000",  # left
        "G-A102": "51440002",  # bilateral
        "G-A103": "66459002",  # unilateral
        # Ophthalmic Anatomic Structure Imaged (CID 4209), and of tomography (CID 4211)
        "T-45400": "53549008",  # ophthalmic artery
        "T-AA000": "81745001",  # eye
        "T-AA050": "31636006",  # anterior chamber
        "T-AA079": "26386000",  # vitreous
        "T-AA110": "18619003",  # sclera
        "T-AA180": "40638003",  # both eyes
        "T-AA200": "28726007",  # cornea
        "T-AA220": "15775008",  # corneal epithelium
        "T-AA260": "65431007",  # corneal endothelium
        "T-AA310": "68703001",  # choroid
        "T-AA400": "29534007",  # ciliary body
        "T-AA500": "41296002",  # iris
        "T-AA610": "5665001",  # retina
        "T-AA621": "67046006",  # fovea centralis
        "T-AA630": "81016008",  # optic nerve head
        "T-AA700": "78076003",  # lens
        "T-AA810": "80243003",  # eyelid
        "T-AA820": "38934000",  # upper eyelid
        "T-AA830": "62736007",  # lower eyelid
        "T-AA860": "29445007",  # conjunctiva
        "T-AA862": "43045000",  # lacrimal caruncle
        "T-AA910": "13561001",  # lacrimal gland
        "T-AA940": "3954005",  # lacrimal sac
        # Ophthalmic Photography Acquisition Device (CID 4202), and of tomography (CID 4210)
        "A-00E8A": "392001008",  # scanning laser ophthalmoscope
        "A-00E8B": "392004000",  # confocal scanning laser ophthalmoscope
        "A-00E8C": "392007007",  # scanning laser polarimeter
        "A-00FBE": "392012008",  # optical coherence tomography scanner
        "A-00FCA": "397522002",  # keratoscope
        "A-00FF4": "420827006",  # pupillograph
        "A-2B201": "397247004",  # slit lamp biomicroscope
        "A-2B210": "102321001",  # operating microscope
        "R-1021A": "409898007",  # fundus camera
        "R-1021B": "409903006",  # external camera
        "R-1021C": "409899004",  # specular microscope
        "R-1021D": "409901008",  # indirect ophthalmoscope
        "R-1021E": "409900009",  # direct ophthalmoscope
        "R-1021F": "409902001",  # ophthalmic endoscope
        "R-FAB5A": "416567007",  # retinal thickness analyzer
        # Ophthalmic Filter (CID 4204)
        "A-010D8": "422915004",  # blue-green
        "A-010DA": "445084008",  # blue
        "A-010DC": "445169002",  # infrared
        "A-010DF": "445279009",  # red
        "A-010E0": "445340000",  # yellow-green
        "A-010E1": "445391002",  # polarizing
        "A-010E2": "445465004",  # green
        # Ophthalmic Channel Description (CID 4206)
        "G-A11A": "371240000",  # red
        "G-A11E": "371246006",  # green
        "G-A12F": "405738005",  # blue
        "G-A132": "405739002",  # red free
        "R-102BE": "414497003",  # infrared
        "R-102BF": "415770004",  # ultraviolet
        "R-102C0": "414298005",  # full spectrum
        # Ophthalmic Imaging Agent (CID 4200)
        "C-22853": "60441008",  # trypan blue
        "C-B0156": "7292004",  # indocyanine green
        "C-B0295": "330888007",  # rose bengal
        "C-B02C5": "354064008",  # methylene blue
        "C-B02CC": "350086004",  # fluorescein
    }
)
