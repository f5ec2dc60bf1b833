/* Prints the nanoseconds that a getppid(2) takes: the median of 25 rounds. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 25
#define CALLS 100000

static int compare(const void *a, const void *b)
{
    double difference = *(const double *)a - *(const double *)b;
    return (difference > 0) - (difference < 0);
}

int main(void)
{
    double took[ROUNDS];

    for (int round = 0; round < ROUNDS; round++) {
        struct timespec start, end;
        clock_gettime(CLOCK_MONOTONIC, &start);
        for (int i = 0; i < CALLS; i++)
            syscall(SYS_getppid);
        clock_gettime(CLOCK_MONOTONIC, &end);
        took[round] = ((end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec)) / CALLS;
    }
    qsort(took, ROUNDS, sizeof *took, compare);
    printf("%.1f\n", took[ROUNDS / 2]);
    return 0;
}
