# Which card gets which name, for lbcards. In: the table of names given ("name mac place"), then the cards there are
# ("key name-now mac place", in their order) on standard input. Out: the new table.
FILENAME != "-" { if (NF == 3) { old[$2] = $1 }; next }
{ n++; mac[n] = $3; place[n] = $4 }
END {
    for (i = 1; i <= n; i++)
        if (mac[i] in old && !(old[mac[i]] in taken)) { name[i] = old[mac[i]]; taken[name[i]] = 1 }
    next_one = 0
    for (i = 1; i <= n; i++) {
        if (!(i in name)) {
            while (("eth" next_one) in taken) next_one++
            name[i] = "eth" next_one
            taken[name[i]] = 1
        }
        print name[i], mac[i], place[i]
    }
}
