"""The house's small authority: certificates by which relays of several hosts know each other. Nothing outside the house believes them."""

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NODE, FRONT = "gpulab-node", "gpulab-front"
LASTS = timedelta(days=10 * 365)
#: Clocks of hosts differ a little.
BEFORE = timedelta(hours=1)
CURVE = ec.SECP256R1()


class BadRequest(ValueError):
    """What was sent is no request for a certificate that can be signed; words for its sender."""


def key_new() -> str:
    """A private key, PEM."""
    return _key_pem(ec.generate_private_key(CURVE))


def authority_new(*, now: datetime) -> tuple[str, str]:
    """A certificate that signs others, and its key, both PEM."""
    key = ec.generate_private_key(CURVE)
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "GPU Lab"), x509.NameAttribute(NameOID.COMMON_NAME, "GPU Lab's own authority")])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    built = (
        _builder(name, name, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _pem(built.sign(key, hashes.SHA256())), _key_pem(key)


def request_new(*, key: str) -> str:
    """A request to sign that key, PEM. What its holder may call itself is not its own to say."""
    private = _private(key)
    return x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(private, hashes.SHA256()).public_bytes(_PEM).decode()


def request_sign(*, request: str, organisation: str, name: str, certificate: str, key: str, now: datetime) -> str:
    """A certificate, PEM, for whoever holds the key of the request, under a name of ours. Raises BadRequest."""
    try:
        asked = x509.load_pem_x509_csr(request.encode())
    except ValueError as error:
        raise BadRequest("That is no request for a certificate.") from error
    public = asked.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1) or not _signed(asked):
        raise BadRequest("The request must be signed with its own key, of the curve P-256.")
    issuer = x509.load_pem_x509_certificate(certificate.encode())
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation), x509.NameAttribute(NameOID.COMMON_NAME, name)])
    built = (
        _builder(subject, issuer.subject, public, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host_name(organisation, name))]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)  # type: ignore[arg-type]
    )
    return _pem(built.sign(_private(key), hashes.SHA256()))


def host_name(organisation: str, name: str) -> str:
    """The name that a certificate is for: `n2.node.gpulab`, `front.gpulab`."""
    return f"{name}.node.gpulab" if organisation == NODE else f"{name}.gpulab"


_PEM = serialization.Encoding.PEM


def _builder(subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BEFORE)
        .not_valid_after(now + LASTS)
    )


def _signed(asked: x509.CertificateSigningRequest) -> bool:
    try:
        return asked.is_signature_valid
    except InvalidSignature:
        return False


def _private(key: str) -> ec.EllipticCurvePrivateKey:
    loaded = serialization.load_pem_private_key(key.encode(), password=None)
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise TypeError("The house's keys are of a curve.")
    return loaded


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(_PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
