/*
 * shuntctl: the operator's hand on a running shunt. Everything is in command.c and behind it.
 */
#include "tools/shuntctl/command.h"

int main(int argc, char **argv)
{
    return shuntctl_run(argc, argv);
}
