/*
 * Bars. Pure functions; called by the views of plans.
 */
#include "tools/shuntctl/bar.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum glyph {
    GLYPH_FULL,
    GLYPH_HALF,
    GLYPH_EMPTY,
    GLYPH_AXIS,
    GLYPH_RANGE,
    GLYPH_VALUE,
    GLYPH_LIMIT,
    GLYPHS
};

static const char *const glyphs[2][GLYPHS] = {
    {"#", "=", ".", ".", "-", "o", "|"},
    {"\u2588", "\u2592", "\u2591", "\u00b7", "\u2500", "\u25cf", "\u2503"},
};

static char *write_cells(const enum glyph *cells, unsigned columns, bool unicode, char *out)
{
    char *to = out;
    for (unsigned i = 0; i < columns; i++)
        to = stpcpy(to, glyphs[unicode][cells[i]]);
    *to = '\0';
    return out;
}

static unsigned bounded(unsigned columns)
{
    return columns > BAR_COLUMNS_MOST ? BAR_COLUMNS_MOST : columns;
}

/* Cells that a fraction fills; at least one of what is not 0, and not all of what is not 1. */
static unsigned cells_of(double fraction, unsigned columns)
{
    if (!(fraction > 0) || columns == 0)
        return 0;
    if (fraction >= 1)
        return columns;
    unsigned cells = (unsigned)lround(fraction * columns);
    if (cells == columns && columns > 1)
        return columns - 1;
    return cells == 0 ? 1 : cells;
}

char *bar_share(double now, double target, unsigned columns, bool unicode, char out[BAR_ROOM])
{
    enum glyph cells[BAR_COLUMNS_MOST];
    columns = bounded(columns);
    unsigned full = cells_of(now, columns), half = cells_of(target, columns);
    for (unsigned i = 0; i < columns; i++)
        cells[i] = i < full ? GLYPH_FULL : i < half ? GLYPH_HALF : GLYPH_EMPTY;
    return write_cells(cells, columns, unicode, out);
}

struct axis {
    double left, right;
    double limit;
    unsigned columns;
};

/* The cell of a value; the nearest one of what lies outside. */
static unsigned cell_of(const struct axis *axis, double value)
{
    double place = (value - axis->left) / (axis->right - axis->left) * axis->columns;
    if (!(place > 0))
        return 0;
    return place >= axis->columns ? axis->columns - 1 : (unsigned)place;
}

/* The same, but never in the cell of the limit what is on one side of it. */
static unsigned cell_beside_limit(const struct axis *axis, double value)
{
    unsigned cell = cell_of(axis, value);
    if (cell != cell_of(axis, axis->limit) || value == axis->limit)
        return cell;
    if (value > axis->limit)
        return cell + 1 < axis->columns ? cell + 1 : cell;
    return cell > 0 ? cell - 1 : cell;
}

static struct axis axis_of(const struct bar_interval *interval, unsigned columns)
{
    double reach = interval->limit - interval->nothing; /* negative where more is better */
    struct axis axis = {.limit = interval->limit, .columns = columns};
    if (fabs(reach) < 1e-12) { /* no harm at all is allowed: the scale is what has been seen */
        reach = isfinite(interval->high) && interval->high > interval->limit ? interval->high - interval->limit : 1;
        axis.left = interval->limit - reach;
        axis.right = interval->limit + reach;
        return axis;
    }
    axis.left = reach > 0 ? interval->nothing : interval->limit + reach / 2;
    axis.right = reach > 0 ? interval->limit + reach / 2 : interval->nothing;
    return axis;
}

char *bar_interval(const struct bar_interval *interval, unsigned columns, bool unicode, char out[BAR_ROOM])
{
    enum glyph cells[BAR_COLUMNS_MOST];
    const struct axis axis = axis_of(interval, bounded(columns));
    if (columns == 0)
        return write_cells(cells, 0, unicode, out);
    unsigned low = cell_beside_limit(&axis, interval->low), high = cell_beside_limit(&axis, interval->high);
    for (unsigned i = 0; i < axis.columns; i++)
        cells[i] = i >= low && i <= high ? GLYPH_RANGE : GLYPH_AXIS;
    cells[cell_beside_limit(&axis, interval->value)] = GLYPH_VALUE;
    cells[cell_of(&axis, interval->limit)] = GLYPH_LIMIT;
    return write_cells(cells, axis.columns, unicode, out);
}
