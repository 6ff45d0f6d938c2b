/* vdit-model.c - makes, inspects and sizes checkpoints. Its man page, vdit-model(1), is the contract. */
#include "config.h"
#include "model.h"
#include "program.h"
#include <stdio.h>
#include <string.h>

#define SHARD_SIZE ((size_t)4000000000u) /* below the limit of a 32-bit size_t too */

static model_settings set;

static const program_option options[] = {
    {"output", 'o', "DIR", "init, convert: the folder to make", program_read_text, &set.output},
    {"size", 's', "SIZE",
     "init, convert: a size of the family; else latents as FRAMESxHEIGHTxWIDTH", program_read_text,
     &set.size},
    {"video", 0, "FxHxW", "the latents of a video of so many frames and pixels", program_read_text,
     &set.video},
    {"text", 0, "N", "rows of the text (default: the family's)", program_read_size, &set.text},
    {"batch", 'b', "N", "samples of a call (default: 1)", program_read_size, &set.batch},
    {"seed", 0, "N", "init: of the weights (default: 0)", program_read_size, &set.seed},
    {"dtype", 'd', "TYPE", "f32, bf16 or f16: of the weights, or of a call", program_read_text,
     &set.dtype},
    {"shard-size", 0, "BYTES", "init, convert: begin another file beyond it (default: 4000000000)",
     program_read_size, &set.shard_size},
    {"tensors", 0, NULL, "inspect: list the tensors", program_read_flag, &set.tensors},
    {"no-scan", 0, NULL, "inspect: do not look for NaN and infinities", program_read_flag,
     &set.no_scan},
    {"activations", 'a', NULL, "sites: list all activations", program_read_flag, &set.activations},
    {"threads", 't', "N", "threads (default: all); the bits do not depend on it",
     program_read_threads, &set.threads},
    {"json", 0, NULL, "print JSON", program_read_flag, &set.json},
    {0},
};

static const program self = {
    "vdit-model",
    "Makes, converts, inspects and sizes checkpoints of video diffusion transformers.",
    "init FAMILY [--size SIZE] [KEY=VALUE]... -o DIR [OPTION]...\n"
    "convert DIR -o DIR [OPTION]...\n"
    "convert FILE FAMILY [--size SIZE] [KEY=VALUE]... -o DIR [OPTION]...\n"
    "inspect DIR [OPTION]...\n"
    "sites DIR|CONFIG [OPTION]...\n"
    "estimate DIR|CONFIG --size FxHxW [OPTION]...",
    options,
};

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        model_command *act;
    } commands[] = {{"init", model_init},
                    {"convert", model_convert},
                    {"inspect", model_inspect},
                    {"sites", model_sites},
                    {"estimate", model_estimate}};
    const size_t count = sizeof commands / sizeof *commands;
    model_operands operands;
    vdit_run *run = vdit_run_new();
    int status, given;
    size_t i = 0;

    set.batch = 1;
    set.shard_size = SHARD_SIZE;
    given = program_parse(&self, argc, argv, &operands.list);
    if (run == NULL)
        program_fail("no memory");
    if (given < 1)
        program_fail("expected init, convert, inspect, sites or estimate; see --help");
    while (i < count && strcmp(commands[i].name, operands.list[0]) != 0)
        i++;
    if (i == count)
        program_fail("'%s' is none of init, convert, inspect, sites, estimate", operands.list[0]);
    operands.list++;
    operands.count = (size_t)given - 1;
    vdit_run_set_threads(run, set.threads);
    status = commands[i].act(run, &set, operands);
    vdit_run_free(run);
    return program_finish(status);
}
