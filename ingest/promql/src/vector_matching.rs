//! Operators between two instant vectors: who meets whom, and what comes out.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a match names the operators that it is about"
)]

use std::collections::HashMap;

use foldhash::fast::FixedState;
use model::{Labels, LabelsBuilder};

use crate::answer::EvalError;
use crate::arithmetic::{Computed, compute, truth};
use crate::ast::{Binary, BinaryOp, Cardinality, VectorMatching};
use crate::context::Context;
use crate::grouping::{GroupIndex, LabelChoice};
use crate::histogram_binary::{self, BinaryNotes, Outcome};
use crate::table::{Cell, METADATA, Table, weight};

/// A group says at each step in one byte whether it is there.
const BOOLS_PER_SAMPLE: usize = 16;

/// Applies `node`'s operator to the vectors of its sides. `delayed` says that names are dropped when all is computed.
pub(crate) fn combine(
    node: &Binary,
    matching: &VectorMatching,
    left: Table,
    right: Table,
    delayed: bool,
    notes: BinaryNotes<'_, '_>,
    context: &Context<'_>,
) -> Result<Table, EvalError> {
    let choice = if matching.on {
        LabelChoice::only(&matching.labels)
    } else {
        LabelChoice::ignoring(&matching.labels)
    };
    let mut groups = GroupIndex::new(&choice);
    let mut numbers = |table: &Table| -> Vec<usize> {
        table
            .rows
            .iter()
            .map(|row| groups.group_of(&row.labels))
            .collect()
    };
    let left_groups = numbers(&left);
    let right_groups = numbers(&right);
    let mut table = match node.op {
        BinaryOp::And | BinaryOp::Or | BinaryOp::Unless => combine_sets(
            node.op,
            left,
            right,
            &left_groups,
            &right_groups,
            groups.len(),
            context,
        )?,
        _ => {
            let swapped = matching.cardinality == Cardinality::OneToMany;
            let is_trim = matches!(node.op, BinaryOp::TrimLower | BinaryOp::TrimUpper);
            let (many, one, many_groups, one_groups) = if swapped {
                (right, left, right_groups, left_groups)
            } else {
                (left, right, left_groups, right_groups)
            };
            Join {
                context,
                node,
                matching,
                notes,
                only_floats: !many.has_histograms() && !one.has_histograms() && !is_trim,
                choice: &choice,
                groups: &groups,
                swapped,
                drop_now: node.return_bool && !delayed,
                out: Table::new(many.steps),
                out_rows: HashMap::default(),
                last_meeting: vec![None; many.rows.len()],
                filled_by: Vec::new(),
                met: vec![Met::default(); groups.len()],
                many,
                one,
                many_groups,
                one_groups,
            }
            .run()?
        }
    };
    table.prune();
    Ok(table)
}

fn combine_sets(
    op: BinaryOp,
    mut left: Table,
    mut right: Table,
    left_groups: &[usize],
    right_groups: &[usize],
    groups: usize,
    context: &Context<'_>,
) -> Result<Table, EvalError> {
    let steps = left.steps;
    context.charge(groups.saturating_mul(steps) / BOOLS_PER_SAMPLE)?;
    context.work(left.cells().saturating_add(right.cells()))?;
    let present = |table: &Table, numbers: &[usize]| {
        let mut present = vec![false; groups * steps];
        for (row, group) in numbers.iter().enumerate() {
            for step in 0..steps {
                if table.holds(row, step) {
                    present[group * steps + step] = true;
                }
            }
        }
        present
    };
    let clear = |table: &mut Table, numbers: &[usize], present: &[bool], when: bool| {
        for (row, group) in numbers.iter().enumerate() {
            for step in 0..steps {
                if present[group * steps + step] == when {
                    table.clear(row, step);
                }
            }
        }
    };
    match op {
        BinaryOp::And => {
            let present = present(&right, right_groups);
            clear(&mut left, left_groups, &present, false);
        }
        BinaryOp::Unless => {
            let present = present(&right, right_groups);
            clear(&mut left, left_groups, &present, true);
        }
        _ => {
            let present = present(&left, left_groups);
            clear(&mut right, right_groups, &present, true);
            right.prune();
            left.append(right);
            left.merge()?;
        }
    }
    Ok(left)
}

/// The side of which there may be many meets the side of which there is one. One to one is a case of it.
struct Join<'a, 'b, 'c> {
    context: &'a Context<'c>,
    node: &'a Binary,
    matching: &'a VectorMatching,
    notes: BinaryNotes<'a, 'b>,
    /// Nothing but numbers is combined by an operator for numbers.
    only_floats: bool,
    choice: &'a LabelChoice,
    groups: &'a GroupIndex<'a>,
    /// The left side is the one of which there is one.
    swapped: bool,
    drop_now: bool,
    many: Table,
    one: Table,
    many_groups: Vec<usize>,
    one_groups: Vec<usize>,
    out: Table,
    out_rows: HashMap<Labels, usize, FixedState>,
    /// For each row on the side of many, whom it met last and the row of the answer that they make.
    last_meeting: Vec<Option<(usize, usize)>>,
    /// For each row of the answer, the step and the group that met for it last, where there may be many.
    filled_by: Vec<Option<(usize, usize)>>,
    met: Vec<Met>,
}

/// What a group has seen in the step at hand.
#[derive(Clone, Default)]
struct Met {
    /// The row on the side of one.
    one: Option<usize>,
    matched: bool,
}

/// A side of a meeting: a row, or a value that fills in for one.
#[derive(Clone, Copy)]
enum Side {
    Filled(f64),
    Row(usize),
}

const ONE_TO_ONE: &str =
    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";
const NOT_UNIQUE: &str = "multiple matches for labels: grouping labels must ensure unique matches";

impl Join<'_, '_, '_> {
    fn run(mut self) -> Result<Table, EvalError> {
        let fill = self.matching.fill;
        // As upstream has it: with `group_right` too, `fill_left` fills in on the side of many.
        let (fill_many, fill_one) = (fill.left, fill.right);
        for step in 0..self.many.steps {
            self.begin(step)?;
            let rows = self.many.rows.len() + self.one.rows.len();
            self.context.work(rows + self.met.len())?;
            for row in 0..self.many.rows.len() {
                if !self.many.holds(row, step) {
                    continue;
                }
                let group = self.many_groups[row];
                let one = match (self.met[group].one, fill_one) {
                    (Some(one), _) => Side::Row(one),
                    (None, Some(value)) => Side::Filled(value),
                    (None, None) => continue,
                };
                self.meet(step, group, Side::Row(row), one)?;
            }
            if let Some(value) = fill_many {
                for row in 0..self.one.rows.len() {
                    let group = self.one_groups[row];
                    if self.one.holds(row, step) && !self.met[group].matched {
                        self.meet(step, group, Side::Filled(value), Side::Row(row))?;
                    }
                }
            }
        }
        Ok(self.out)
    }

    /// Finds each group's row on the side of one. There must be one at most, whether anything meets it or not.
    fn begin(&mut self, step: usize) -> Result<(), EvalError> {
        for met in &mut self.met {
            met.one = None;
            met.matched = false;
        }
        // Where nothing can match nothing is wrong.
        let fill = self.matching.fill;
        let empty = |table: &Table| (0..table.rows.len()).all(|row| !table.holds(row, step));
        if fill.left.is_none() && fill.right.is_none() && empty(&self.many) {
            return Ok(());
        }
        for row in 0..self.one.rows.len() {
            if !self.one.holds(row, step) {
                continue;
            }
            let group = self.one_groups[row];
            match self.met[group].one {
                Some(other) => return Err(self.duplicate(group, row, other)),
                None => self.met[group].one = Some(row),
            }
        }
        Ok(())
    }

    fn duplicate(&self, group: usize, row: usize, other: usize) -> EvalError {
        let side = if self.swapped { "left" } else { "right" };
        let mut shown = [
            self.one.rows[row].labels.to_string(),
            self.one.rows[other].labels.to_string(),
        ];
        shown.sort_unstable();
        EvalError::Execution(format!(
            "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
            self.groups.labels(group),
            shown[0],
            shown[1],
        ))
    }

    fn meet(&mut self, step: usize, group: usize, many: Side, one: Side) -> Result<(), EvalError> {
        let computed = self.computed(step, many, one);
        let one_to_one = self.matching.cardinality == Cardinality::OneToOne;
        if one_to_one && self.met[group].matched {
            return Err(EvalError::Execution(ONE_TO_ONE.to_owned()));
        }
        self.met[group].matched = true;
        // Between one and one a value that is filtered away needs no labels.
        if one_to_one && computed.is_absent() {
            return Ok(());
        }
        let out = self.out_row(group, many, one)?;
        if !one_to_one {
            // Other groups that fill the same row are found by the value that is there.
            let filled_by = (step, group);
            if self.filled_by[out] == Some(filled_by) {
                return Err(EvalError::Execution(NOT_UNIQUE.to_owned()));
            }
            self.filled_by[out] = Some(filled_by);
        }
        if computed.is_absent() {
            return Ok(());
        }
        if self.out.holds(out, step) {
            return Err(EvalError::Execution(crate::table::SAME_LABELS.to_owned()));
        }
        if let Cell::Histogram(histogram) = &computed {
            self.context.charge(weight(histogram))?;
        }
        self.out.set_cell(out, step, computed);
        Ok(())
    }

    /// What the operator makes of a meeting. A comparison keeps the value of the left side.
    fn computed(&self, step: usize, many: Side, one: Side) -> Cell {
        if self.only_floats {
            let value = |table: &Table, side: Side| match side {
                Side::Filled(value) => value,
                Side::Row(row) => table.value(row, step),
            };
            let (many_value, one_value) = (value(&self.many, many), value(&self.one, one));
            let (left, right) = if self.swapped {
                (one_value, many_value)
            } else {
                (many_value, one_value)
            };
            return match compute(self.node.op, left, right) {
                Computed::Holds(holds) if self.node.return_bool => Cell::Float(truth(holds)),
                Computed::Holds(true) => Cell::Float(left),
                Computed::Holds(false) | Computed::Undefined => Cell::Absent,
                Computed::Value(value) => Cell::Float(value),
            };
        }
        let cell = |table: &Table, side: Side| match side {
            Side::Filled(value) => Cell::Float(value),
            Side::Row(row) => table.cell(row, step),
        };
        let (many_cell, one_cell) = (cell(&self.many, many), cell(&self.one, one));
        let (left, right) = if self.swapped {
            (one_cell, many_cell)
        } else {
            (many_cell, one_cell)
        };
        match histogram_binary::combine(self.node.op, &left, &right, self.notes) {
            Outcome::Holds(holds) if self.node.return_bool => Cell::Float(truth(holds)),
            Outcome::Holds(true) => left,
            Outcome::Holds(false) | Outcome::Nothing => Cell::Absent,
            Outcome::Value(value) => value,
        }
    }

    /// The row of the answer that this pair makes, in most steps the same as in the step before.
    fn out_row(&mut self, group: usize, many: Side, one: Side) -> Result<usize, EvalError> {
        if let (Side::Row(many), Side::Row(one)) = (many, one)
            && let Some((partner, out)) = self.last_meeting[many]
            && partner == one
        {
            return Ok(out);
        }
        let labels = self.result_labels(group, many, one);
        let dropped = matches!(many, Side::Row(row) if self.many.rows[row].drop_name);
        let drop_name = self.node.return_bool && !self.drop_now || dropped;
        let out = match self.out_rows.get(&labels) {
            Some(out) => *out,
            None => {
                self.context.charge(self.out.steps)?;
                let out = self.out.add_row(labels.clone(), drop_name);
                self.filled_by.push(None);
                self.out_rows.insert(labels, out);
                out
            }
        };
        if let (Side::Row(many), Side::Row(one)) = (many, one) {
            self.last_meeting[many] = Some((one, out));
        }
        Ok(out)
    }

    fn result_labels(&self, group: usize, many: Side, one: Side) -> Labels {
        // A comparison keeps the metadata, and so does what leaves a part of a histogram.
        let is_trim = matches!(self.node.op, BinaryOp::TrimLower | BinaryOp::TrimUpper);
        let keeps_metadata = (self.node.op.is_comparison() || is_trim) && !self.drop_now;
        let kept = |name: &str| keeps_metadata || !METADATA.contains(&name);
        let matched = |side: Side, table: &Table| match side {
            Side::Filled(_) => self.groups.labels(group).clone(),
            Side::Row(row) => table.rows[row].labels.clone(),
        };
        let base = matched(many, &self.many);
        if self.matching.cardinality == Cardinality::OneToOne {
            return if self.matching.on {
                base.filtered(|name| kept(name) && self.choice.includes(name))
            } else {
                base.filtered(|name| {
                    if METADATA.contains(&name) {
                        keeps_metadata
                    } else {
                        self.choice.includes(name)
                    }
                })
            };
        }
        let base = if keeps_metadata {
            base
        } else {
            base.filtered(kept)
        };
        if self.matching.include.is_empty() {
            return base;
        }
        let source = matched(one, &self.one);
        let mut builder = LabelsBuilder::new(&base);
        for name in &self.matching.include {
            builder.set(name, source.value(name));
        }
        builder.build()
    }
}
