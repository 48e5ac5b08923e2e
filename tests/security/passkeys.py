"""A passkey as a browser hands it over at its making."""

from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import Aaguid, AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData


def passkey(host: str = "testserver") -> dict[str, object]:
    """A whole credential of that host, without anybody who holds its private key."""
    public = ES256.from_cryptography_key(ec.generate_private_key(ec.SECP256R1()).public_key())
    credential = AttestedCredentialData.create(Aaguid.NONE, b"laptop", public)
    flags = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV | AuthenticatorData.FLAG.AT
    data = AuthenticatorData.create(sha256(host.encode()).digest(), flags, 0, credential)
    client = CollectedClientData.create("webauthn.create", b"challenge", f"http://{host}")
    response = {"clientDataJSON": websafe_encode(client), "attestationObject": websafe_encode(AttestationObject.create("none", data, {}))}
    name = websafe_encode(credential.credential_id)
    return {"id": name, "rawId": name, "type": "public-key", "response": response}
