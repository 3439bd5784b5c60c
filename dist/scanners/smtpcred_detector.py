"""Finds passwords of smtpcred with detect-secrets.

    detect-secrets scan -p /usr/share/doc/smtpcred/scanners/smtpcred_detector.py
"""
import re
import zlib

from detect_secrets.plugins.base import RegexBasedDetector

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def has_checksum(password):
    """Returns whether the last six characters are the CRC-32 of the 24 before them."""
    body, check = password[6:30], password[30:]
    value = zlib.crc32(body.encode())
    expected = ""
    for _ in check:
        value, digit = divmod(value, len(ALPHABET))
        expected += ALPHABET[digit]
    return check == expected


class SmtpcredDetector(RegexBasedDetector):
    """Finds passwords that smtpcred generated, and no other strings."""

    secret_type = "smtpcred SMTP password"
    denylist = [re.compile(r"smtpc_[2-9A-HJ-NP-Za-km-z]{30}")]

    def analyze_string(self, string):
        for match in super().analyze_string(string):
            if has_checksum(match):
                yield match
