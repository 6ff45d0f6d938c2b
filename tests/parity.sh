#!/bin/sh
# Each network against what diffusers computes, activation by activation: the table of doc/parity.md.
exec "$builddir/tests/parity" "$srcdir"/data/parity/*.safetensors
