# layers.awk - prints each #include that reaches below its place in the order of the folders of lib/.
BEGIN {
    count = split("base exact file op attention backend model golden", order)
    for (i = 1; i <= count; i++)
        level[order[i]] = i
    # A public header belongs to the folder of its name; these belong to base.
    split("api run tensor random", base)
    for (i in base)
        header[base[i] ".h"] = 1
    for (i = 1; i <= count; i++)
        header[order[i] ".h"] = i
    header["edit.h"] = header["meter.h"] = header["plan.h"] = header["attention.h"]
    header["explain.h"] = header["golden.h"]
}

# The level of "folder/name.h": its folder's, a public header's; 0 if it is not ours.
function level_of(path, parts, n)
{
    n = split(path, parts, "/")
    if (n < 2)
        return 0
    if (parts[n - 1] == "vdit")
        return parts[n] in header ? header[parts[n]] : count
    return parts[n - 1] in level ? level[parts[n - 1]] : 0
}

FNR == 1 {
    own = level_of(FILENAME)
    if (own == 0)
        print FILENAME ": a folder that tests/layers.awk does not know"
}

/^#[ \t]*include/ {
    path = $0
    sub(/^[^<"]*[<"]/, "", path)
    sub(/[>"].*/, "", path)
    if (level_of(path) > own)
        print FILENAME ":" FNR ": includes " path
}
