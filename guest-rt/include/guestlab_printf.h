/* The code of guestlab_printf, which guestlab.h describes. */

#ifndef GUESTLAB_PRINTF_H
#define GUESTLAB_PRINTF_H

#include <stdarg.h>

/* Text that the host has not received yet, and the form of the next conversion. */
struct guestlab_buffer {
    uint32_t len;
    uint32_t width;
    bool left;
    char fill;
    char bytes[128];
};

static inline void guestlab_flush(struct guestlab_buffer *buffer)
{
    if (buffer->len > 0)
        guestlab_write(buffer->bytes, buffer->len);
    buffer->len = 0;
}

static inline void guestlab_add(struct guestlab_buffer *buffer, char c)
{
    if (buffer->len == sizeof buffer->bytes)
        guestlab_flush(buffer);
    buffer->bytes[buffer->len++] = c;
}

static inline void guestlab_add_text(struct guestlab_buffer *buffer, const char *text)
{
    uint32_t len = guestlab_text_of(text).len;
    for (uint32_t i = len; !buffer->left && i < buffer->width; i++)
        guestlab_add(buffer, buffer->fill);
    for (uint32_t i = 0; i < len; i++)
        guestlab_add(buffer, text[i]);
    for (uint32_t i = len; buffer->left && i < buffer->width; i++)
        guestlab_add(buffer, ' ');
}

static inline void guestlab_add_number(struct guestlab_buffer *buffer, bool negative, uint64_t number, uint32_t base)
{
    char digits[22];
    char *first = digits + sizeof digits - 1;
    *first = 0;
    do
        *--first = "0123456789abcdef"[number % base];
    while ((number /= base) != 0);
    if (negative) {
        *--first = '-';
        buffer->fill = ' ';
    }
    guestlab_add_text(buffer, first);
}

/* The next argument: an int, or a long long. */
#define GUESTLAB_NEXT(arguments, wide, sign) \
    ((wide) ? va_arg(arguments, sign long long) : va_arg(arguments, sign int))

static inline void guestlab_printf(const char *format, ...)
{
    struct guestlab_buffer buffer = { 0 };
    va_list arguments;
    va_start(arguments, format);
    for (; *format != 0; format++) {
        if (*format != '%') {
            guestlab_add(&buffer, *format);
            continue;
        }
        const char *conversion = format++;
        buffer.left = *format == '-';
        format += buffer.left;
        buffer.fill = *format == '0' ? '0' : ' ';
        for (buffer.width = 0; *format >= '0' && *format <= '9'; format++)
            buffer.width = buffer.width * 10 + (*format - '0');
        uint32_t longs = 0;
        for (; *format == 'l' || *format == 'z'; format++)
            longs++;
        bool wide = longs * sizeof(long) >= sizeof(long long);
        switch (*format) {
        case 'd':
        case 'i': {
            int64_t number = GUESTLAB_NEXT(arguments, wide, signed);
            guestlab_add_number(&buffer, number < 0, number < 0 ? -(uint64_t)number : (uint64_t)number, 10);
            break;
        }
        case 'u':
            guestlab_add_number(&buffer, false, GUESTLAB_NEXT(arguments, wide, unsigned), 10);
            break;
        case 'x':
            guestlab_add_number(&buffer, false, GUESTLAB_NEXT(arguments, wide, unsigned), 16);
            break;
        case 'p':
            guestlab_add_number(&buffer, false, (uintptr_t)va_arg(arguments, void *), 16);
            break;
        case 'c':
            guestlab_add(&buffer, (char)va_arg(arguments, int));
            break;
        case 's':
            guestlab_add_text(&buffer, va_arg(arguments, const char *));
            break;
        case '%':
            guestlab_add(&buffer, '%');
            break;
        default: /* another conversion: it is printed as it is */
            guestlab_add(&buffer, '%');
            format = conversion;
        }
    }
    va_end(arguments);
    guestlab_flush(&buffer);
}

#endif
