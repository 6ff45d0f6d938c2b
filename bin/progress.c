/* progress.c - a progress bar on a terminal, and interrupts that cancel a run. */
#include "config.h"
#include "program.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BAR_WIDTH       30
#define UPDATES_APART_S 0.1

/* One bar per process, as there is one terminal. */
static struct {
    int on_terminal, shown;
    char what[24];
    const char *only; /* NULL: whatever reports */
    double start, last;
} bar;

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

double program_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void program_progress_clear(void)
{
    if (bar.shown)
        fputs("\r\033[K", stderr);
    bar.shown = 0;
}

static void draw(double part, double elapsed)
{
    char cells[BAR_WIDTH + 1], past[32], left[32] = "?";
    int full = (int)(part * BAR_WIDTH);

    memset(cells, '.', BAR_WIDTH);
    memset(cells, '#', (size_t)full);
    cells[BAR_WIDTH] = '\0';
    program_time_text(past, sizeof past, elapsed);
    if (part > 0)
        program_time_text(left, sizeof left, elapsed * (1 - part) / part);
    fprintf(stderr, "\r\033[K%s [%s] %3.0f%%  %s elapsed, %s left", bar.what, cells, 100 * part,
            past, left);
    bar.shown = 1;
}

/* Another "what" is another piece of work: its clock starts anew. */
static int show(void *state, const char *what, double done, double total)
{
    double now = program_seconds(), part = total > 0 ? done / total : 1;

    (void)state;
    if (bar.only != NULL && strcmp(bar.only, what) != 0)
        return interrupted;
    if (strncmp(bar.what, what, sizeof bar.what - 1) != 0) {
        snprintf(bar.what, sizeof bar.what, "%s", what);
        bar.start = now;
        bar.last = now;
    }
    if (bar.on_terminal && now - bar.last >= UPDATES_APART_S) {
        bar.last = now;
        draw(part < 0 ? 0 : part > 1 ? 1 : part, now - bar.start);
    }
    return interrupted;
}

void program_progress(vdit_run *run)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_interrupt;
    action.sa_flags = (int)SA_RESETHAND;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    program_progress_clear();
    bar.what[0] = '\0';
    bar.only = NULL;
    bar.on_terminal = isatty(STDERR_FILENO);
    vdit_run_set_progress(run, show, NULL);
}

void program_progress_of(vdit_run *run, const char *what)
{
    program_progress(run);
    bar.only = what;
}
