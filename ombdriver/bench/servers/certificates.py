"""Certificates for one run: an authority of its own, and what it signs. Only importer of trustme."""

import os
import ssl
from pathlib import Path

from ombdriver.bench.servers.configuration import TlsFiles
from ombdriver.bench.servers.topology import HOST


def make_certificates(folder: Path, address: str = HOST) -> TlsFiles:
    """Writes an authority, a certificate that it has signed, and its key into `folder`; only the owner may read them.

    The certificate is good for `address` and localhost, as a server's and as a client's. Blocks for some milliseconds.

    Raises:
        OSError: if they can't be written.
    """
    import trustme  # not at the top: it loads all of cryptography

    authority = trustme.CA(organization_name="ombdriver")
    issued = authority.issue_cert(address, "localhost", organization_name="ombdriver")
    files = TlsFiles(folder / "server.crt", folder / "server.key", folder / "authority.crt")
    _write(files.certificate, b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    _write(files.key, issued.private_key_pem.bytes())
    _write(files.authority, authority.cert_pem.bytes())
    return files


def server_side(name: str) -> tuple[ssl.SSLContext, str]:
    """The context of a server called `name`, and the certificate (PEM) by which its clients know it.

    No file outlives the call. Blocks for some milliseconds.
    """
    import trustme

    authority = trustme.CA(organization_name="ombdriver")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name, organization_name="ombdriver").configure_cert(context)
    return context, authority.cert_pem.bytes().decode("ascii")


def _write(path: Path, content: bytes) -> None:
    # Never readable by others, not even for the moment before a chmod.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
