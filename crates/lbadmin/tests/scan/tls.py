"""tls.py SSLYZE.json PROFILE: what sslyze found is at least what Mozilla's "intermediate" (compatible) or "modern" asks
for.

Whether anybody trusts the certificate is apart: the unit makes it itself at the first boot, so its path cannot be
validated and its life span is ours. Everything else is asserted one by one, so that nothing passes by being left out.
"""

import json
import sys

COMPATIBLE = {
    "tls_1_2_cipher_suites": {
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    },
    "tls_1_3_cipher_suites": {"TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"},
}
MODERN = {**COMPATIBLE, "tls_1_2_cipher_suites": set()}
PROFILES = {"compatible": COMPATIBLE, "modern": MODERN}
OFF = ["ssl_2_0_cipher_suites", "ssl_3_0_cipher_suites", "tls_1_0_cipher_suites", "tls_1_1_cipher_suites"]


def faults(scan, suites):
    def result(name):
        attempt = scan[name]
        if attempt["status"] != "COMPLETED":
            raise SystemExit(f"{name} did not complete: {attempt['error_reason']}")
        return attempt["result"]

    def accepted(name):
        return {suite["cipher_suite"]["name"] for suite in result(name)["accepted_cipher_suites"]}

    for name in OFF:
        if accepted(name):
            yield f"{name}: {sorted(accepted(name))}"
    for name, wanted in suites.items():
        if accepted(name) != wanted:
            yield f"{name}: {sorted(accepted(name))}, not {sorted(wanted)}"
    wanted = [
        ("tls_compression", "supports_compression", False),
        ("heartbleed", "is_vulnerable_to_heartbleed", False),
        ("openssl_ccs_injection", "is_vulnerable_to_ccs_injection", False),
        ("robot", "robot_result", "NOT_VULNERABLE_RSA_NOT_SUPPORTED"),
        ("session_renegotiation", "supports_secure_renegotiation", True),
        ("session_renegotiation", "is_vulnerable_to_client_renegotiation_dos", False),
        ("tls_fallback_scsv", "supports_fallback_scsv", True),
        ("tls_extended_master_secret", "supports_ems_extension", True),
        ("tls_1_3_early_data", "supports_early_data", False),
    ]
    for name, field, value in wanted:
        if result(name)[field] != value:
            yield f"{name}: {field} is {result(name)[field]}, not {value}"
    deployments = result("certificate_info")["certificate_deployments"]
    if not deployments:
        yield "no certificate"
    for deployment in deployments:
        certificate = deployment["received_certificate_chain"][0]
        key = certificate["public_key"]
        strong = key["ec_curve_name"] in ("secp256r1", "secp384r1") or (key["rsa_e"] and key["key_size"] >= 2048)
        if not strong:
            yield f"certificate: {key['algorithm']} of {key['key_size']} bits"
        if certificate["signature_hash_algorithm"]["name"] not in ("sha256", "sha384", "sha512"):
            yield f"certificate: signed with {certificate['signature_hash_algorithm']['name']}"


servers = json.load(open(sys.argv[1], encoding="utf-8"))["server_scan_results"]
if len(servers) != 1 or servers[0]["scan_status"] != "COMPLETED":
    raise SystemExit(f"nothing was scanned: {[s['scan_status'] for s in servers]}")
found = list(faults(servers[0]["scan_result"], PROFILES[sys.argv[2]]))
print("\n".join(found) or "TLS: nothing found")
sys.exit(bool(found))
