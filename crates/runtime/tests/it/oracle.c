/* Reads rules from standard input and writes libseccomp's program for them to standard output. */
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int main(void) {
    char word[16], name[128];
    unsigned long action, token;
    unsigned count;
    scmp_filter_ctx context = NULL;
    while (scanf("%15s", word) == 1) {
        if (!strcmp(word, "default")) {
            if (scanf("%lu", &action) != 1 || !(context = seccomp_init(action))) return 1;
        } else if (!strcmp(word, "arch")) {
            if (scanf("%lu", &token) != 1 || seccomp_arch_add(context, token)) return 2;
        } else {
            struct scmp_arg_cmp args[6];
            if (scanf("%lu %127s %u", &action, name, &count) != 3 || count > 6) return 3;
            for (unsigned i = 0; i < count; i++) {
                unsigned index, operator;
                unsigned long one, two;
                if (scanf("%u %u %lu %lu", &index, &operator, &one, &two) != 4) return 4;
                args[i] = (struct scmp_arg_cmp){index, operator, one, two};
            }
            int number = seccomp_syscall_resolve_name(name);
            if (number == __NR_SCMP_ERROR) continue;
            int done = seccomp_rule_add_array(context, action, number, count, args);
            if (done && done != -17) return 5;
        }
    }
    return context && !seccomp_export_bpf(context, 1) ? 0 : 6;
}
