/*
 * bench_peak.c - runs a command and prints "SECONDS PEAK-MIB":
 *
 *     bench_peak COMMAND ARGUMENT...
 *
 * The command keeps stdin and loses stdout. The peak is the resident set that the system reports.
 */
#include <config.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bench.h"

/* In the child: becomes the command. */
static void become(char **command)
{
    int null = open("/dev/null", O_WRONLY);

    if (null >= 0 && dup2(null, STDOUT_FILENO) >= 0)
        execvp(command[0], command);
    _exit(127);
}

int main(int argc, char **argv)
{
    double start = bench_seconds();
    struct rusage usage;
    int status;
    pid_t child;

    if (argc < 2 || (child = fork()) < 0)
        return 2;
    if (child == 0)
        become(argv + 1);
    if (waitpid(child, &status, 0) < 0 || getrusage(RUSAGE_CHILDREN, &usage) != 0)
        return 2;
    printf("%.1f %.0f\n", bench_seconds() - start,
           (double)usage.ru_maxrss / 1024); /* KiB on Linux */
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
