# SPDX-License-Identifier: Apache-2.0
"""BERT from raw text to scored predictions, on JAX."""

__version__ = "0.1.0"
