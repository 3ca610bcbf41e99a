/* The baseline that Guestlab is measured beside: a plain KVM hypervisor in C. `cargo xtask bench`
 * compiles and runs it. */

#include "vm.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "measure.h"

/* No measurement takes longer, in seconds: a guest that never leaves is not waited for. */
#define DEADLINE 300

static unsigned long number(const char *text) {
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text == 0 || *end != 0)
        die("%s is no number", text);
    return value;
}

int main(int count, char **words) {
    const char *what = count > 1 ? words[1] : "";
    alarm(DEADLINE);
    if (strcmp(what, "exit") == 0 && count == 4)
        measure_exits(words[2], number(words[3]));
    else if (strcmp(what, "life") == 0 && count == 4)
        measure_life(words[2], number(words[3]));
    else if (strcmp(what, "prodcons") == 0 && (count == 7 || count == 8))
        measure_exchange(words[2], words[3], number(words[4]), number(words[5]), number(words[6]),
                         count == 8 ? words[7] : NULL);
    else if (strcmp(what, "instructions") == 0 && count == 7)
        count_instructions(words[2], words[3], number(words[4]), number(words[5]), number(words[6]));
    else
        die("exit MODE EXITS | life PRODUCER VMS | prodcons PRODUCER CONSUMER CAPACITY TURNS SEED [FILE] | instructions PRODUCER CONSUMER CAPACITY TURNS SEED");
    return 0;
}
