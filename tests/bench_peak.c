/*
 * bench_peak.c - runs a command and prints "SECONDS PEAK-MIB OWN-MIB":
 *
 *     bench_peak COMMAND ARGUMENT...
 *
 * The command keeps stdin and loses stdout. The peak is the resident set that the system reports; what is the
 * command's own, beyond mapped files, is looked up every few milliseconds, where /proc tells ("-" elsewhere).
 */
#include <config.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
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

/* Returns: resident bytes of a process that are not those of files, 0 if unknown: /proc/PID/statm, in pages. */
static double own_bytes(pid_t process)
{
    char path[64];
    double resident = 0, shared = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/statm", (long)process);
    file = fopen(path, "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*s %lf %lf", &resident, &shared) != 2)
        resident = shared = 0;
    fclose(file);
    return (resident - shared) * (double)sysconf(_SC_PAGESIZE);
}

int main(int argc, char **argv)
{
    double start = bench_seconds();
    const struct timespec pause = {0, 4000000};
    struct rusage usage;
    int status;
    double own = 0;
    pid_t child, ended;

    if (argc < 2 || (child = fork()) < 0)
        return 2;
    if (child == 0)
        become(argv + 1);
    while ((ended = waitpid(child, &status, WNOHANG)) == 0) {
        double now = own_bytes(child);
        own = now > own ? now : own;
        nanosleep(&pause, NULL);
    }
    if (ended < 0 || getrusage(RUSAGE_CHILDREN, &usage) != 0)
        return 2;
    printf("%.1f %.0f", bench_seconds() - start, (double)usage.ru_maxrss / 1024); /* KiB on Linux */
    if (own > 0)
        printf(" %.0f\n", own / 1048576);
    else
        printf(" -\n");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
