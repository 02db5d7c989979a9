"""The root certificates of makers of TPMs, by fingerprint. No file and no flag adds one.

Only fingerprints are here, as for AMD's roots: a path ends at the root certificate itself, which
comes with the evidence or in a file of the verifier's. The URLs say where vendors publish them;
nothing is fetched from there.

A root is here if its certificate signs itself and is an authority, and if two sources that do not
copy each other have the same bytes or the same fingerprint. Sources:

    K  keylime, tpm_cert_store
    L  tpm-ca-certificates: downloads from the vendors' addresses, with fingerprints
    M  Microsoft's list of trusted TPM roots (TrustedTpm.cab)
    P  other public lists of downloads from the vendor

Left out: what only one source has (VeriSign's old TPM root, Nuvoton 0100 and 2010 to 2012, Nationz,
AMD Root CA R4); what is signed by SHA-1 (NTC TPM EK Root CA 01 and 02); what signs certificates of
attestation keys as well (Microsoft, Google's cloud); and what is called a root but is signed by
another authority (STM TPM EK Root CA, IFX TPM EK Root CA), since it is an intermediate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EkRoot:
    """A root that signs, through intermediates, EK certificates of one vendor.

    Attributes:
        vendor: its vendor id; no other vendor's TPM is accepted below it.
        name: its common name; with a remark in brackets, if others have the same.
        url: where it is published, "" if that is not known.
    """

    vendor: str
    name: str
    url: str = ""

    def is_named(self, common_name: str) -> bool:
        """Whether a certificate of that common name may be this root."""
        return common_name in (self.name, self.name.partition(" (")[0])


_AMD = "https://ftpm.amd.com/pki/aia/"
_INFINEON = "https://pki.infineon.com/"
_NSING = "https://pki.nsing.com.sg/"
_NUVOTON = "https://www.nuvoton.com/security/NTC-TPM-EK-Cert/"
_GLOBALSIGN = "https://secure.globalsign.com/cacert/"
_ST = "https://sw-center.st.com/STSAFE/"
_INTEL = "https://tsci.intel.com/content/OnDieCA/certs/"

EK_ROOTS: Mapping[str, EkRoot] = {
    # L, P
    "67bd2472a546751caca5f358a78f80727531671338960a9bcfdfbe6a34d0c6a1": EkRoot(
        "AMD", "AMDTPM (RSA)", _AMD + "264D39A23CEB5D5B49D610044EEBD121"
    ),
    "14aac9fd58471a612afd75d8c0955daf99f091b1863702f9e0d4113faf234f9d": EkRoot(
        "AMD", "AMDTPM (ECC)", _AMD + "23452201D41C5AB064032BD23F158FEF"
    ),
    # K, L, M
    "899e35474c9807eb4c7f2f7a12da0028fb250cd02154d0009fca7d9c66574f3b": EkRoot(
        "IFX", "Infineon OPTIGA(TM) RSA Root CA", _INFINEON + "OptigaRsaRootCA/OptigaRsaRootCA.crt"
    ),
    "cfeb02fecd55ad7a73c6e1d11985d4c47dee248ab63dcb66091a2489660443c3": EkRoot(
        "IFX", "Infineon OPTIGA(TM) ECC Root CA", _INFINEON + "OptigaEccRootCA/OptigaEccRootCA.crt"
    ),
    # L, M
    "b413c71580af3ec5efe83fad31db2d4af4612355e3b01e50903b10763d738894": EkRoot(
        "IFX",
        "Infineon OPTIGA(TM) RSA Root CA 2",
        _INFINEON + "OptigaRsaRootCA2/OptigaRsaRootCA2.crt",
    ),
    "ee0c827555c4e9012037df4257bb8aaa26084a17b13ede41cd7895c8d6c11190": EkRoot(
        "IFX",
        "Infineon OPTIGA(TM) ECC Root CA 2",
        _INFINEON + "OptigaEccRootCA2/OptigaEccRootCA2.crt",
    ),
    # K, M
    "2e1b3ba79af56d758be51697621bc4b9e8cee0983db3e749c55eb9b37c6d2ae0": EkRoot(
        "INTC", "www.intel.com (TPM EK root cert signing)"
    ),
    # L, M, P
    "beb40bb7507b33967226aa80e084749fbb6593893c642e818d682e9a8d07fc24": EkRoot(
        "INTC",
        "www.intel.com (OnDie CA Root Cert Signing)",
        _INTEL + "OnDie_CA_RootCA_Certificate.cer",
    ),
    # L, M
    "72ca00612395af027cd84c5514219f110e964dfa0bfc1efbb3ac147e3b173971": EkRoot(
        "NSG", "NSING TPM RSA ROOT CA 001", _NSING + "NSRsaRootCA001/NSRsaRootCA001.crt"
    ),
    "6ccf8a8a803d07a002a15d4889ffa0b125e4a82a1fe4211db3c6e8592919f9dc": EkRoot(
        "NSG", "NSING TPM ECC ROOT CA 001", _NSING + "NSEccRootCA001/NSEccRootCA001.crt"
    ),
    # K, M, P
    "4aebe77a51ed29959a7f9f5e07a24a558dee8167f3985d724995a541c258dfda": EkRoot(
        "NTC", "Nuvoton TPM Root CA 2110"
    ),
    # K, L, M
    "2782e51a95e86d9557fe4204316cf805bd6f5898f81f9732e944d742bcdc5f54": EkRoot(
        "NTC", "Nuvoton TPM Root CA 1110", _NUVOTON + "Nuvoton%20TPM%20Root%20CA%201110.cer"
    ),
    "e38c280f7c0e0b49f31efc7531032bb6a86c3fba4eb89beb1d510eaa4510ae4a": EkRoot(
        "NTC", "Nuvoton TPM Root CA 1111", _NUVOTON + "Nuvoton%20TPM%20Root%20CA%201111.cer"
    ),
    "cd8185ff8995ed09811970090a8c36fafab34ef87f47fa51fdb9ecf95c9c2e04": EkRoot(
        "NTC", "Nuvoton TPM Root CA 2111", _NUVOTON + "Nuvoton%20TPM%20Root%20CA%202111.cer"
    ),
    # L, M
    "66e3a1013d4f697700f731e7d68c69b58351f90ec9580d85862d020ab4abf1af": EkRoot(
        "NTC", "Nuvoton TPM Root CA 2112", _NUVOTON + "Nuvoton%20TPM%20Root%20CA%202112.cer"
    ),
    "ba70a6ea7b77c7fee8947a07b1e70e0b26d39ce5e6307f63d5e4b9507f19a157": EkRoot(
        "NTC", "NuvotonTPMRootCA1210", _NUVOTON + "NuvotonTPMRootCA1210.cer"
    ),
    "fc61abbc18100f460205ebe09d8c3e6995ac2be2234344a7facb62e15f9a7584": EkRoot(
        "NTC", "NuvotonTPMRootCA2210", _NUVOTON + "NuvotonTPMRootCA2210.cer"
    ),
    "2bbc5db224b8f28a6d2cf336d4da7ab21c8c490e3d60ef497801dc0b6ac00227": EkRoot(
        "NTC", "NuvotonTPMRootCA2211", _NUVOTON + "NuvotonTPMRootCA2211.cer"
    ),
    "083e7bd13e8fe0bb9b0c64db9e0c8356681df65714d2d5c4925eb98ae1369d40": EkRoot(
        "NTC", "NPCTxxx ECC521 RootCA", _NUVOTON + "NPCTxxxECC521RootCA.cer"
    ),
    # K, L, M
    "f27bf02c6e00c73d915eeb6a6a2f5fbf0c31ae0393149e6b5c31e41b113841c3": EkRoot(
        "STM", "GlobalSign Trusted Platform Module Root CA", _GLOBALSIGN + "gstpmroot.crt"
    ),
    # L, M
    "5a8c7b5eb888cfce9322068e80e82b28b554ffeb7fdc9638dcb3763077401d26": EkRoot(
        "STM", "GlobalSign Trusted Platform Module ECC Root CA", _GLOBALSIGN + "tpmeccroot.crt"
    ),
    "c8f179943356e13d9d84b100201cefabbf408880241e5329e60d950ce1dea623": EkRoot(
        "STM", "STSAFE RSA Root CA 02", _ST + "STSAFERsaRootCA02.crt"
    ),
    "fd1e7b68accd825636b27b3177c67402d463a7f04c97b6c47ab705fcdc1a04f6": EkRoot(
        "STM", "STSAFE ECC Root CA 02", _ST + "STSAFEEccRootCA02.crt"
    ),
}
"""By SHA-256 of the certificate in DER, in hexadecimal."""
