# A made-up file of kind host, as `omnibus calibrate --out` writes one: for 2 workers; nothing of it was
# measured. A message 100 ns and 1 ns a byte, a weight 10 ps a row.
function list(key, count, first, factor, i, value) {
    printf "%s = ", key
    for (i = 0; i < count; i++) {
        printf "%s%d", i ? ", " : "", value = i ? value * factor : first
    }
    print ""
}
function messages(name) {
    print "[" name "]"
    list("workers_2_ns", 12, 164, 2)
    list("further_pe_ns", 12, 32, 2)
}
function op(name) {
    print name "_call_ns = 10"
    print name "_byte_ps = 1"
}
BEGIN {
    print "[array]\nkind = host\ncores = 2\nworkers = 1, 2\n[message]"
    list("bytes", 12, 64, 4)
    messages("broadcast"); messages("reduction"); messages("gather"); messages("addressed")
    print "[team]\nbarrier_ns = 0, 40\npass_ns = 1000, 1000\nstep_ns = 5\n[matmul]"
    list("rows", 9, 1, 2)
    print "call_ns = 50\ncached_bytes = 1000\nstreamed_bytes = 3000"
    split("f32_cached f32_streamed bf16_cached bf16_streamed", set)
    for (s = 1; s <= 4; s++)
        for (w = 1; w <= 2; w++) {
            list(set[s] "_workers_" w "_ps_per_weight", 9, 10, 2)
            list(set[s] "_workers_" w "_ps_per_output", 9, 1, 1)
        }
    print "[attention]"
    split("prefill decode", pass)
    for (p = 1; p <= 2; p++)
        print pass[p] "_head_ns = 0\n" pass[p] "_pair_ps = 0\n" pass[p] "_mac_ps = 20\n" pass[p] "_byte_ps = 0"
    print "[op]"
    op("rms_norm"); op("layer_norm"); op("swiglu"); op("gelu"); op("add"); op("append"); op("argmax"); op("copy")
}
