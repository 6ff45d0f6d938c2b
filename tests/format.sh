#!/bin/sh
# The C files are as clang-format 14 writes them (other versions write them otherwise).
clang_format=$(command -v clang-format-14 || command -v clang-format) || exit 77
$clang_format --version | grep -q 'version 14\.' || {
    $clang_format --version
    exit 77
}
cd "$srcdir" && find lib bin tests doc data -name '*.[ch]' -exec \
    $clang_format --style=file --dry-run -Werror {} +
