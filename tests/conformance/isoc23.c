/* The names that glibc 2.38 gives to the C23 versions of its number readers, for libraries that were built against it
 * and run on an older one. The versions differ in one thing, the prefix 0b, which nobody here uses. Built and loaded by
 * bochs.py before the Bochs processor, whose wheel needs two of them. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

unsigned long long __isoc23_strtoull(const char *text, char **end, int base)
{
    return strtoull(text, end, base);
}

int __isoc23_sscanf(const char *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int count = vsscanf(text, format, arguments);
    va_end(arguments);
    return count;
}
