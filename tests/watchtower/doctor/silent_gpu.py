"""A stand-in for the probe of torch, on a machine whose GPU gives no answer."""

import sys

sys.stdout.write('{"error": "CUDA error: unspecified launch failure"}')
