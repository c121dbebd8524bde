/* example_forward.c: what a program that links the library looks like: six tokens through a checkpoint that
 * is sharded over 4 PEs, and the token that follows. cc example_forward.c $(pkg-config --cflags --libs
 * omnibus) */
#include <omnibus/pe.h>
#include <stdio.h>

int main(int argc, char **argv) {
    const char *dir = argc > 1 ? argv[1] : "configs/demo/llama";
    const int32_t ids[] = {49, 46, 44, 36, 46, 25};
    size_t count = sizeof ids / sizeof *ids;
    int32_t next = -1;
    omni_error err = {0};
    omni_model *model = NULL;
    omni_weights *weights = NULL;
    omni_topo *topo = NULL;
    omni_plan_spec spec;
    omni_plan *plan = NULL;
    omni_engine *engine = NULL;
    omni_stop stop = {0};

    if (omni_kernel_init(&err) || omni_model_load(dir, &model, &err)) goto out;
    if (omni_weights_open_dir(dir, &weights, &err)) goto out;
    omni_bind_heads(model, weights);
    if (omni_bind_all(model, weights, &err) || omni_topo_open(NULL, NULL, &topo, &err)) goto out;
    if (omni_plan_parse("workflow1", &spec, &err)) goto out;
    if (omni_plan_compile(model, &spec, 4, &plan, &err)) goto out;
    omni_engine_options options = {.model = model, .weights = weights, .plan = plan, .topo = topo};
    options.sequences = 1;
    options.capacity = &count;
    options.max_tokens = count;
    options.stop = &stop;
    if (omni_engine_create(&options, &engine, &err)) goto out;
    if (omni_engine_forward(engine, ids, &count, &next, &err) == OMNI_OK) printf("%d\n", (int)next);
out:
    if (err.status) fprintf(stderr, "%s\n", err.text);
    omni_engine_free(engine);
    omni_plan_free(plan);
    omni_topo_close(topo);
    omni_weights_close(weights);
    omni_model_free(model);
    return (int)err.status;
}
