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

static enum mode mode(const char *name) {
    static const char *const names[] = { [REAL] = "real", [PROTECTED] = "protected", [LONG] = "long" };
    for (enum mode mode = REAL; mode <= LONG; mode++)
        if (strcmp(name, names[mode]) == 0)
            return mode;
    die("the modes are real, protected and long");
}

/* The plan that begins with these words. */
static struct plan plan(char **words) {
    return (struct plan){
        .mode = mode(words[0]), .producer = words[1], .consumer = words[2],
        .capacity = number(words[3]), .turns = number(words[4]), .seed = number(words[5]),
    };
}

int main(int count, char **words) {
    const char *what = count > 1 ? words[1] : "";
    alarm(DEADLINE);
    if (strcmp(what, "exit") == 0 && count == 4) {
        measure_exits(mode(words[2]), number(words[3]));
    } else if (strcmp(what, "life") == 0 && count == 5) {
        measure_life(mode(words[2]), words[3], number(words[4]));
    } else if (strcmp(what, "prodcons") == 0 && (count == 8 || count == 9)) {
        struct plan run = plan(words + 2);
        measure_exchange(&run, count == 9 ? words[8] : NULL);
    } else if (strcmp(what, "instructions") == 0 && count == 8) {
        struct plan run = plan(words + 2);
        count_instructions(&run);
    } else {
        die("exit MODE EXITS | life MODE PRODUCER VMS | prodcons MODE PRODUCER CONSUMER CAPACITY TURNS SEED [FILE] | "
            "instructions MODE PRODUCER CONSUMER CAPACITY TURNS SEED");
    }
    return 0;
}
