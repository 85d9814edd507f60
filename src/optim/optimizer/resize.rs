//! Parameters that grow and shrink, with their state.

use super::Optimizer;
use super::memory::Memory;
use crate::engine::{Program, Submission};
use crate::optim::external::check_overlaps;
use crate::optim::row_list::{Holds, Resized};
use crate::optim::update::has_rows;
use crate::optim::{Error, External, RowList};
use crate::params::{self, Param, Storage};

impl Optimizer {
    /// Gives a caller's parameters other rows, those of a list: values, moments and averages move on the device, and applied
    /// counts stay. Each [`External`] says the new shape, in which the number of rows alone may differ, and where values
    /// and gradient lie from now on; without a gradient the parameter has none until [`rebind`](Optimizer::rebind) gives
    /// one. The values are written there, whole. All parameters named take the same list; others stay. Does not wait.
    ///
    /// Steps that are in an encoder which has not been submitted must not be submitted afterwards. Selections made before
    /// no longer fit, squares are let go, and a [`Best`](crate::optim::Best) copy is one of another model: keep anew.
    ///
    /// # Errors
    /// [`Error::NotCallers`] where parameters lie in arenas of ours; an unknown name, or one twice; a shape that differs in
    /// more than its rows, or has other rows than the list; [`Error::NoSuchRow`]; other types; new ranges that overlap each
    /// other, what they replace, or any other; moments in int8, whose blocks do not go by rows; [`Error::Swapped`]; out of
    /// device memory. Nothing changes then.
    pub fn resize(&mut self, resized: &[External], rows: RowList<'_>) -> Result<(), Error> {
        self.refuse_swapped()?;
        let tensors = self.to_resize(resized, &rows)?;
        let all = self.externals_with(&tensors, resized)?;
        let params: Vec<Param> = all.iter().map(|external| external.param.clone()).collect();
        Param::check_all(&params)?;
        let memory = Memory::of(&self.engine, all)?;
        let elements: Vec<u64> = params.iter().map(|param| param.elements() as u64).collect();

        let list = rows.place(&self.engine)?;
        let (stay, moved): (Vec<usize>, Vec<usize>) =
            self.state.order.iter().partition(|tensor| !tensors.contains(*tensor));
        let without = self.state_of(stay.clone(), self.updates())?;
        let wanted = memory.wanted(&params, [stay, moved].concat(), self.updates(), self.page_bytes());
        let state = without.relaid(&self.engine, &wanted)?;

        let mut program = Program::new("resize");
        for tensor in tensors {
            let (engine, control, list) = (&self.engine, &self.control, &list);
            let one = Resized { engine, control, list, param: &self.params[tensor] };
            let storage = self.memory.precisions[tensor].values();
            let (old, new) = (self.values_of(tensor), memory.params.stream(tensor, storage));
            program.dispatches.extend(one.dispatches(&old, &new, Holds::Values)?);
            for ((_, old), (_, new)) in self.state.streams(tensor).iter().zip(state.streams(tensor)) {
                program.dispatches.extend(one.dispatches(old, &new, Holds::State)?);
            }
        }
        let program = self.engine.prepare(program)?;
        self.engine.submit(&Submission { programs: &[&program], ..Submission::default() })?;
        (self.params, self.elements, self.memory, self.state) = (params, elements, memory, state);
        self.moved();
        Ok(())
    }

    /// The parameters that are named, checked against what they are and the list.
    fn to_resize(&self, resized: &[External], rows: &RowList<'_>) -> Result<Vec<usize>, Error> {
        if let RowList::Device(range) = rows {
            range.check()?;
        }
        let updates = self.updates();
        let mut tensors = Vec::with_capacity(resized.len());
        for External { param, precision, .. } in resized {
            let tensor = self.place_of(&param.name)?;
            let old = &self.params[tensor];
            let unsuited = |reason: String| Err(Error::Unsuited { param: param.name.clone(), reason });
            if tensors.contains(&tensor) {
                return Err(params::Error::NameTwice { what: "parameter", name: param.name.clone() }.into());
            }
            if *precision != self.memory.precisions[tensor] {
                return unsuited(format!("it is {:?} and cannot become {precision:?}", self.memory.precisions[tensor]));
            }
            let is_row_by_row = !param.shape.is_empty() && !old.shape.is_empty() && param.shape[1..] == old.shape[1..];
            if !is_row_by_row {
                let (old, new) = (&old.shape, &param.shape);
                return unsuited(format!("its shape {old:?} and the new one {new:?} differ in more than their rows"));
            }
            rows.check(old, param.shape[0])?;
            if updates[tensor].storage == Storage::Int8 && self.state.holds(tensor) {
                return unsuited("its moments are in int8, whose blocks do not go by rows: use f32 or bf16".to_owned());
            }
            if updates[tensor].factors.is_some() && has_rows(old) && self.state.holds(tensor) {
                let reason = "its moments are those of rows and columns, and the columns' are of all rows that there were: \
                              freeze its group with Refreeze::DropState first";
                return unsuited(reason.to_owned());
            }
            tensors.push(tensor);
        }
        Ok(tensors)
    }

    /// All of a caller's parameters, with the resized ones as they will be. What moves must not lie where it lay.
    fn externals_with(&self, tensors: &[usize], resized: &[External]) -> Result<Vec<External>, Error> {
        let callers = self.memory.callers.as_ref().ok_or(Error::NotCallers { what: "parameters" })?;
        let mut all = callers.externals.clone();
        let old = tensors.iter().map(|tensor| &all[*tensor]);
        let old = old.map(|external| ("old values", external.param.name.as_str(), &external.values));
        let new = resized.iter().map(|external| ("new values", external.param.name.as_str(), &external.values));
        check_overlaps(old.chain(new).collect())?;
        for (tensor, external) in tensors.iter().zip(resized) {
            all[*tensor] = external.clone();
        }
        Ok(all)
    }
}
