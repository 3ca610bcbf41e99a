/* The bare bones of a kernel: a terminal on the text screen. LINES texts, the screen scrolling where there is
   no room. Compiled by the tests with gcc -m32. */

#include "pc.h"

#ifndef LINES
#define LINES 1
#endif

enum { WIDTH = 80, HEIGHT = 25 };

static u16 *const screen = (u16 *)0xB8000;
static u32 row, column;

static void clear_row(u32 row) {
    for (u32 x = 0; x < WIDTH; x++) screen[row * WIDTH + x] = ' ' | 0x07 << 8;
}

static void put(char c) {
    if (c == '\n' || column == WIDTH) {
        column = 0;
        if (++row == HEIGHT) {
            for (u32 i = 0; i < WIDTH * (HEIGHT - 1); i++) screen[i] = screen[i + WIDTH];
            clear_row(--row);
        }
    }
    if (c != '\n') screen[row * WIDTH + column++] = (u16)((u8)c | 0x0A << 8);
    u16 cursor = (u16)(row * WIDTH + column);
    outb(0x3D4, 0x0F);
    outb(0x3D5, (u8)cursor);
    outw(0x3D4, (u16)(0x0E | cursor & 0xFF00));
}

static void print(const char *text) {
    while (*text) put(*text++);
}

void kernel(void) {
    for (u32 y = 0; y < HEIGHT; y++) clear_row(y);
    for (char line = 0; line < LINES; line++) {
        if (line) put((char)('a' + line - 1));
        print("Hello, kernel World!\n");
    }
    print("\xC9\xCD\x1B[2J");
}
