"""The same answers sooner: fast siblings of the modules in ``model/``, compiled from them."""
